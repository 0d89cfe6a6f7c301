"""Finished items of a run, one JSON line each, written at once: a killed run goes on behind them.

A line holds the outcome and all that was said. A last line that was cut off by a kill is dropped
with a warning; any other line that cannot be read is an error, since it was whole once. What a run
folder is beside this file is adapt.evals.runs.folders' business. Called by the command line.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from adapt.evals.asking import Played
from adapt.evals.items import Item
from store.errors import BusyError, ConfigError, PerennialError
from store.evidence import ItemOutcome
from store.records import Record

SYNC_S = 1.0
"""Least seconds between two waits for the disk: a power cut costs the items of this time."""


class Entry(Record):
    """One finished item."""

    item: str
    """Digest of the item."""
    name: str = ""
    slice: str
    outcome: ItemOutcome
    messages: tuple[dict[str, Any], ...] = ()
    """The whole conversation in OpenAI's shape; empty on an engine fault."""
    tools: tuple[str, ...] = ()
    """Names of the functions that were offered."""
    check: dict[str, Any] = Field(default_factory=dict)
    """What was wanted (adapt.evals.items.CHECKS)."""
    seconds: float
    """From asking to scoring, with all tries."""
    elapsed: float
    """Seconds that the run had been at work by then, over all its parts."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class FileJournal:
    """A `Journal` (adapt.evals.runner) in a file. Made by `open_journal`."""

    def __init__(self, file: FileIO, path: Path, known: Mapping[str, ItemOutcome], elapsed: float):
        self.path = path
        self._file = file
        self._known = known
        self._before = elapsed
        self._opened = self._synced = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds at work so far, over all parts of the run."""
        return self._before + time.monotonic() - self._opened

    def known(self) -> Mapping[str, ItemOutcome]:
        """Outcomes without faults of the earlier parts of this run, by item digest."""
        return self._known

    def add(self, item: Item, outcome: ItemOutcome, played: Played | None, seconds: float) -> None:
        """Keep one finished item. PerennialError when the disk is full."""
        line = {
            "item": item.digest,
            "name": item.name,
            "slice": item.slice,
            "outcome": outcome.model_dump(mode="json"),
            "messages": list(played.messages) if played else [],
            "tools": [tool["function"]["name"] for tool in item.tools],
            "check": item.check,
            "seconds": round(seconds, 3),
            "elapsed": round(self.elapsed, 3),
            "prompt_tokens": played.prompt_tokens if played else 0,
            "completion_tokens": played.completion_tokens if played else 0,
        }
        write_line(self._file, self.path, line)
        if time.monotonic() - self._synced >= SYNC_S:
            self.sync()

    def sync(self) -> None:
        """Wait until the disk has all of it."""
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()


@contextmanager
def open_journal(path: Path, warn: Callable[[str], None]) -> Iterator[FileJournal]:
    """Take the journal of a run, new or begun, until the block ends.

    BusyError while another process writes it; ConfigError for a line that cannot be read. `warn`
    hears of a last line that was cut off.
    """
    with path.open("ab+", buffering=0) as file:
        hold(file, path, fcntl.LOCK_EX)
        size = whole_size(path)
        if size < path.stat().st_size:
            warn(f"{path}: its last line was cut off and is dropped; its item is asked again")
            file.truncate(size)
        known: dict[str, ItemOutcome] = {}
        elapsed = 0.0
        for entry in read_entries(path):
            elapsed = max(elapsed, entry.elapsed)
            if entry.outcome.error is None:
                known[entry.item] = entry.outcome
        journal = FileJournal(file, path, known, elapsed)
        try:
            yield journal
        finally:
            journal.sync()


def read_entries(path: Path) -> Iterator[Entry]:
    """The finished items in the order in which they came; nothing where there is no file.

    An item that was asked again after a fault comes twice: the later one counts. A last line that
    is cut off is left out. ConfigError names a line that cannot be read.
    """
    if not path.is_file():
        return
    size = whole_size(path)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if file.tell() > size:
                return
            try:
                yield Entry.model_validate(json.loads(line))
            except (ValueError, RecursionError) as error:
                why = "it is no JSON"
                if isinstance(error, ValidationError):
                    first = error.errors()[0]
                    why = f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
                raise ConfigError(
                    f"line {number} of {path} cannot be read: {why}",
                    "take that line out: its item is then asked again",
                ) from error


def check_journal(path: Path) -> None:
    """Find out what would keep a run from going on, before anything is started for it.

    BusyError while another process writes it; ConfigError for a line that cannot be read.
    """
    if path.is_file():
        with path.open("rb") as file:
            hold(file, path, fcntl.LOCK_SH)
        for _ in read_entries(path):
            pass


def write_line(file: FileIO, path: Path, value: Any) -> None:
    """Append a JSON value as a line, at once. PerennialError when the disk is full."""
    rest = memoryview(json.dumps(value).encode() + b"\n")
    try:
        while rest:
            # Unbuffered: a line that only a buffer holds is lost with the process.
            rest = rest[file.write(rest) or 0 :]
    except OSError as error:
        raise PerennialError(
            f"{path} cannot be written: {error.strerror or error}",
            "make room and run the same command again; what is in it is kept",
        ) from error


def hold(file: FileIO | BufferedReader, path: Path, kind: int = fcntl.LOCK_EX) -> None:
    """Lock a file that one process at a time may fill. BusyError while another does."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BusyError(
            f"another process writes {path}", "wait for it, or choose another --out"
        ) from error


def whole_size(path: Path) -> int:
    """Bytes of a file up to the end of its last whole line."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - (1 << 16))
            file.seek(begin)
            at = file.read(end - begin).rfind(b"\n")
            if at >= 0:
                return begin + at + 1
            end = begin
    return 0
