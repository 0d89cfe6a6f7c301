"""Sources that are git checkouts: the documentation in their last commit, as committed.

What lies in the working folder and is not committed is nothing that was published. Read with
dulwich: no program of the checkout, its hooks or its filters runs. Made by adapt.gather.kinds.
"""

import asyncio
import stat
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatch
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from adapt.gather.forms import file_as_seen, refuse_large, stamp_at
from adapt.gather.licences import licence_name
from adapt.gather.options import refuse_options, texts
from adapt.gather.protocol import Draft, Seen, Unchanged, Unusable
from store.errors import DocumentError, UserError
from store.source_records import Place, Source

if TYPE_CHECKING:
    from dulwich.repo import Repo

USUAL = ("*.md", "*.markdown", "*.txt")
"""Files that are documentation, where the option `patterns` says nothing."""
HISTORY = 2000
"""Most commits looked through for when a file was last changed; an older change has no date."""
_AT_ONCE = 32


@dataclass(frozen=True)
class _File:
    """A file of a commit."""

    path: str
    blob: bytes
    """Its id, in hexadecimal digits: it changes with the file."""


class Git:
    """Reads the last commit of checkouts. `max_bytes`: a larger file is not read."""

    lists_all = True

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def check(self, source: Source) -> None:
        """UserError when there is no git repository, or nothing is committed in it."""
        refuse_options(source, ("patterns",))
        texts(source, "patterns")
        try:
            with _opened(source) as repo:
                _head(source, repo)
        except DocumentError as error:
            raise UserError(error.message, error.hint) from error

    async def visit(self, source: Source, known: Mapping[str, Place]) -> AsyncIterator[Seen]:
        """As SourceKind.visit."""
        with await asyncio.to_thread(_opened, source) as repo:
            files, licence = await asyncio.to_thread(_look, source, repo)
            changed = [file for file in files if not _is_known(source, file, known)]
            dates = await asyncio.to_thread(_dates, repo, {file.path for file in changed})
            left = iter(files)
            while some := list(islice(left, _AT_ONCE)):
                for seen in await asyncio.to_thread(
                    lambda some=some: [
                        self._seen(source, repo, file, known, licence, dates.get(file.path))
                        for file in some
                    ]
                ):
                    yield seen

    def _seen(
        self, source: Source, repo: "Repo", file: _File, known: Mapping[str, Place],
        licence: str | None, changed_at: datetime | None,
    ) -> Seen:  # fmt: skip
        address = address_of(source, file.path)
        if _is_known(source, file, known):
            return Unchanged(address)
        data = repo[file.blob].as_raw_string()
        try:
            refuse_large(len(data), self._max_bytes)
        except DocumentError as error:
            return Unusable(address, error.message)
        seen = file_as_seen(address, data, file.blob.decode(), licence)
        if isinstance(seen, Draft) and changed_at is not None:
            seen = replace(seen, published_at=changed_at)
        return seen


def address_of(source: Source, path: str) -> str:
    """A file's address: where it lies in the checkout."""
    return str(PurePosixPath(source.location) / path)


def _is_known(source: Source, file: _File, known: Mapping[str, Place]) -> bool:
    return stamp_at(known, address_of(source, file.path)) == file.blob.decode()


def _opened(source: Source) -> "Repo":
    from dulwich.errors import NotGitRepository
    from dulwich.repo import Repo

    try:
        return Repo(source.location)
    except (NotGitRepository, OSError) as error:
        raise DocumentError(
            f"source {source.name}: {source.location} is no git repository",
            f"clone it there, or remove the source: perennial source remove {source.name}",
        ) from error


def _head(source: Source, repo: "Repo") -> bytes:
    try:
        return repo.head()
    except KeyError as error:
        raise DocumentError(
            f"source {source.name}: nothing is committed in {source.location}", "commit something"
        ) from error


def _look(source: Source, repo: "Repo") -> tuple[list[_File], str | None]:
    """The files that match the patterns, by name, and the licence of them all."""
    patterns = texts(source, "patterns", USUAL)
    everything = sorted(_files(source, repo), key=lambda file: file.path)
    chosen = [file for file in everything if any(matches(file.path, p) for p in patterns)]
    licence = next((f for f in everything if _is_licence(f.path)), None)
    name = licence_name(repo[licence.blob].as_raw_string()) if licence else None
    return [file for file in chosen if file is not licence], name


def _files(source: Source, repo: "Repo") -> Iterator[_File]:
    from dulwich.object_store import iter_tree_contents
    from dulwich.objects import Commit

    commit = repo[_head(source, repo)]
    assert isinstance(commit, Commit), commit
    for entry in iter_tree_contents(repo.object_store, commit.tree):
        assert entry.path is not None and entry.mode is not None and entry.sha is not None
        path = entry.path.decode(errors="backslashreplace")
        hidden = any(part.startswith(".") for part in PurePosixPath(path).parts)
        # Links and other repositories have no text of their own.
        if stat.S_ISREG(entry.mode) and not hidden:
            yield _File(path, entry.sha)


def matches(path: str, pattern: str) -> bool:
    """Whether a path matches: by its name, or where the pattern has a slash, as a whole."""
    return fnmatch(path if "/" in pattern else PurePosixPath(path).name, pattern)


def _is_licence(path: str) -> bool:
    return PurePosixPath(path).stem.upper() in ("LICENSE", "LICENCE", "COPYING") and "/" not in path


def _dates(repo: "Repo", wanted: set[str]) -> dict[str, datetime]:
    """When each of the files was last changed, as far as the last commits tell."""
    found: dict[str, datetime] = {}
    if not wanted:
        return found
    for entry in repo.get_walker(max_entries=HISTORY):
        when = datetime.fromtimestamp(entry.commit.commit_time, UTC)
        for path in _changed_in(entry.changes()):
            if path in wanted:
                found.setdefault(path, when)
        if len(found) == len(wanted):
            break
    return found


def _changed_in(changes: object) -> Iterator[str]:
    """Paths of the changes of a commit; those of a merge are lists of what each parent lacks."""
    if isinstance(changes, list):
        for change in changes:
            yield from _changed_in(change)
        return
    new = getattr(changes, "new", None)
    if new is not None and new.path is not None:
        yield new.path.decode(errors="backslashreplace")
