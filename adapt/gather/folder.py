"""Sources that are folders: Markdown, text and ToolBench-shaped API JSON, hidden files left out.

A file whose size and times are those of the last visit is not read again. Links that lead out of
the folder are refused. Made by adapt.gather.kinds.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from adapt.gather.forms import file_as_seen, printable, refuse_ending, refuse_large, stamp_at
from adapt.gather.options import refuse_options
from adapt.gather.protocol import Seen, Unchanged, Unusable
from store.errors import DocumentError, UserError
from store.source_records import Place, Source

_AT_ONCE = 32
"""Files read in one turn of a thread."""
_SETTLED_NS = 2_000_000_000
"""A file that was written so shortly ago may be written again in the same tick of its clock."""


@dataclass
class Found:
    """What a folder holds: files in the order of their names, and what cannot be read, and why."""

    files: list[Path] = field(default_factory=list)
    refused: dict[Path, str] = field(default_factory=dict)
    closed: list[Path] = field(default_factory=list)
    """Folders that could not be listed: what is in them is unknown, not gone."""


class Folder:
    """Reads folders. `max_bytes`: a larger file is not read."""

    lists_all = True

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def check(self, source: Source) -> None:
        """UserError when there is no such folder."""
        refuse_options(source)
        if not Path(source.location).is_dir():
            raise UserError(f"{source.location} is not a folder", "make it first, then add it")

    async def visit(self, source: Source, known: Mapping[str, Place]) -> AsyncIterator[Seen]:
        """As SourceKind.visit."""
        found = await asyncio.to_thread(look_through, source)
        below = tuple(f"{printable(folder)}{os.sep}" for folder in found.closed)
        for path, reason in found.refused.items():
            yield Unusable(printable(path), reason)
        for address in known:
            if below and address.startswith(below):
                yield Unchanged(address)
        files = iter(found.files)
        while some := list(islice(files, _AT_ONCE)):
            for seen in await asyncio.to_thread(self._read, some, known):
                yield seen

    def _read(self, paths: Iterable[Path], known: Mapping[str, Place]) -> list[Seen]:
        return [seen for path in paths if (seen := self._seen(path, known)) is not None]

    def _seen(self, path: Path, known: Mapping[str, Place]) -> Seen | None:
        """One file; None when it went away meanwhile."""
        address = printable(path)
        try:
            refuse_ending(path.suffix.lower())
            stamp = stamp_of(path)
            if stamp and stamp_at(known, address) == stamp:
                return Unchanged(address)
            refuse_large(path.stat().st_size, self._max_bytes)
            return file_as_seen(address, path.read_bytes(), stamp)
        except FileNotFoundError:
            return None
        except OSError as error:
            return Unusable(address, f"cannot be read: {error.strerror or error}")
        except DocumentError as error:
            return Unusable(address, error.message)


def stamp_of(path: Path) -> str:
    """What changes with every change of a file; "" while that cannot be told. Raises OSError."""
    state = path.stat()
    newest = max(state.st_mtime_ns, state.st_ctime_ns)
    if time.time_ns() - newest < _SETTLED_NS:
        return ""
    return f"{state.st_size}-{state.st_mtime_ns}-{state.st_ctime_ns}"


def look_through(source: Source) -> Found:
    """What the folder of a source holds. DocumentError when it is none."""
    root = Path(source.location)
    if not root.is_dir():
        raise DocumentError(
            f"source {source.name}: {root} is not a folder",
            f"make it, or remove the source: perennial source remove {source.name}",
        )
    found = Found()

    def closed(error: OSError) -> None:
        folder = Path(error.filename)
        found.closed.append(folder)
        found.refused[folder] = f"cannot be listed: {error.strerror}"

    real = root.resolve()
    for place, folders, files in os.walk(root, onerror=closed):
        folders[:] = [name for name in folders if not name.startswith(".")]
        above = Path(place)
        for name in folders:
            if (above / name).is_symlink():
                found.refused[above / name] = "is a link to a folder, which is not followed"
        for name in files:
            if not name.startswith("."):
                _sort_in(found, real, above / name)
    found.files.sort()
    return found


def _sort_in(found: Found, root: Path, path: Path) -> None:
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            found.refused[path] = "is a link that leads out of the folder"
        elif path.is_file():
            found.files.append(path)
        else:
            found.refused[path] = "is no file that can be read"
    except (OSError, RuntimeError) as error:
        # A link to itself.
        found.refused[path] = f"cannot be read: {error}"
