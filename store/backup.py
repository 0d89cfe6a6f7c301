"""Writes a whole home into one file: records, weights, threads, settings and all other files.

The records are those of one moment, whatever is written meanwhile; the home needs no lock. The
caller keeps artifacts from being cleared away. Left out is what a process of this home makes anew
or needs for itself alone (`LEFT_OUT`). Called by adapt.commands.backup; store/restore.py reads it.
"""

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from store.archive import Writer, write_archive
from store.dump import parts, revision_of, tables
from store.errors import ConfigError, IntegrityError
from store.files import MARKER
from store.home import Home
from store.records import utc_now
from store.store import Store

THREADS = "threads.db"
LEFT_OUT = (
    "run", "logs", "cycles", "chroma", "artifacts", ".restoring", "identity.json",
    "perennial.db", "threads.db", "schedule.db", "keywords.db", "vectors.db",
)  # fmt: skip
"""Names in a home that are no plain files of a backup: locks and sockets, logs, work under way,
the search index, the timetable; and what is kept in a way of its own."""
_SIDE_FILES = ("-wal", "-shm", "-journal")

Progress = Callable[[str, int, int], None]
"""What is being done, and how many bytes of how many are done."""


@dataclass(frozen=True)
class Written:
    """What a backup holds."""

    file: str
    bytes: int
    revision: str
    """Of the schema."""
    records: dict[str, int]
    """Rows by table."""
    artifacts: int
    files: int
    threads: bool


def write_backup(
    store: Store, path: Path, progress: Progress, threads: Path | None = None
) -> Written:
    """Write the backup of a home; it appears when it is whole. `threads` is a file of its threads
    where the home has none.

    Raises ConfigError for a place that cannot be used, IntegrityError for an artifact that is not
    as it was recorded, PerennialError when the disk is full.
    """
    path = path.expanduser().absolute()
    home = store.home
    if path.is_relative_to(home.path.resolve()) or path.is_relative_to(home.path):
        raise ConfigError(f"{path} lies in the home itself", "give a place outside of it")
    work = _Work(store, progress)
    facts: dict[str, Any] = {"perennial": version("perennial"), "created": utc_now().isoformat()}
    with write_archive(path, facts) as writer:
        facts |= work.records(writer)
        facts["artifacts"] = work.artifacts(writer)
        files = work.files(writer)
        kept = work.threads(writer, path.parent, threads or home.threads_database)
    return Written(
        str(path), path.stat().st_size, facts["revision"], facts["records"],
        len(facts["artifacts"]), files, kept,
    )  # fmt: skip


class _Work:
    """The parts of one backup, in order."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._home = store.home
        self._progress = progress
        self._done = 0
        # Measured before: on a server the size of the records is not known, and they are quick.
        kept = [self._home.artifacts, self._home.database, self._home.threads_database]
        sizes = [_size(path) for path in kept] + [
            p.stat().st_size for _, p in plain_files(self._home)
        ]
        self._total = sum(sizes)

    def records(self, writer: Writer) -> dict[str, object]:
        """All tables, as they are at one moment."""
        counts: dict[str, int] = {}
        with self._store.database.read() as db:
            for name in tables():
                counts[name] = 0
                for number, (data, rows) in enumerate(parts(db, name)):
                    writer.add(f"tables/{name}/{number:06}.jsonl", data)
                    counts[name] += rows
                    self._told(name, len(data))
            return {"revision": revision_of(db), "records": counts}

    def artifacts(self, writer: Writer) -> list[str]:
        """Every artifact, compared with its recorded digests on the way."""
        store = self._store.artifacts
        digests = store.digests()
        for digest in digests:
            marker = (store.path(digest) / MARKER).read_bytes()
            try:
                listed = json.loads(marker)["files"]
            except (ValueError, KeyError, TypeError):
                # The whole check says what is wrong with it.
                store.verify(digest)
                raise
            for name, recorded in listed.items():
                found = self._file(writer, f"artifacts/{digest}/{name}", store.root / digest / name)
                if found != recorded:
                    raise IntegrityError(
                        f"{store.root / digest / name} differs from its recorded digest",
                        "build that version again, or remove its folder, then back up again",
                    )
            writer.add(f"artifacts/{digest}/{MARKER}", marker)
        return digests

    def files(self, writer: Writer) -> int:
        """All other files of the home."""
        count = 0
        for name, path in plain_files(self._home):
            try:
                self._file(writer, f"files/{name}", path)
            except FileNotFoundError:
                # Removed since it was listed: as if it had been a moment earlier.
                continue
            count += 1
        return count

    def threads(self, writer: Writer, scratch: Path, file: Path) -> bool:
        """What people said, copied by SQLite itself, as the server may be writing."""
        if not file.is_file():
            return False
        with tempfile.TemporaryDirectory(prefix=".threads-", dir=scratch) as folder:
            copy = Path(folder) / THREADS
            try:
                with closing(sqlite3.connect(file)) as live, closing(sqlite3.connect(copy)) as own:
                    live.backup(own, pages=4096)
            except sqlite3.Error as error:
                raise IntegrityError(
                    f"{file} cannot be read: {error}",
                    "move it away to go on without the conversations",
                ) from error
            self._file(writer, THREADS, copy)
        return True

    def _file(self, writer: Writer, name: str, path: Path) -> str:
        with path.open("rb") as stream:
            size = path.stat().st_size
            digest = writer.add_stream(name, stream, size)
        self._told(name, size)
        return digest

    def _told(self, text: str, more: int) -> None:
        self._done += more
        self._progress(text, self._done, max(self._done, self._total))


def plain_files(home: Home) -> Iterator[tuple[PurePosixPath, Path]]:
    """The files of a home that are kept as they are, by name: no links, nothing temporary."""
    for path in sorted(home.path.rglob("*")):
        name = PurePosixPath(path.relative_to(home.path))
        if is_plain(name) and path.is_file() and not path.is_symlink():
            yield name, path


def is_plain(name: PurePosixPath) -> bool:
    """Whether a backup may hold a file of this name as it is."""
    first = name.parts[0] if name.parts else ""
    for ending in _SIDE_FILES:
        first = first.removesuffix(ending)
    return bool(first) and first not in LEFT_OUT and not any(p.startswith(".") for p in name.parts)


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    return path.stat().st_size if path.is_file() else 0
