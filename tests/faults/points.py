"""Where a process that runs a cycle is made to fail, and how.

A point is a stage with a moment of it: `started` (before anything of it is recorded), `progress`
(while it works), `done` (recorded), a statement on the database (`INSERT INTO flips`: inside the
transaction that has it) or `after` one (its transaction is committed, nothing later has happened).
Uses the events of the cycle and SQLAlchemy's, and changes nothing of ours.
"""

import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

from adapt.events import Event
from store.records import CycleStage

BALLAST = "ballast"
Act = Callable[[], object]


@dataclass
class Point:
    """One place in a cycle. `act` is called there, once."""

    where: str
    act: Act
    _stage: str = ""
    _files: set[str] = field(default_factory=set)
    _connections: set[int] = field(default_factory=set)
    _hit: bool = False

    def __post_init__(self) -> None:
        self.stage, _, self.moment = self.where.partition(":")
        self._after = self.moment.startswith("after ")
        self._statement = self.moment.removeprefix("after ")
        if " " in self.moment:
            event.listen(Engine, "before_cursor_execute", self._executing)
            event.listen(Pool, "checkin", self._returned)

    def watch(self, told: Event) -> None:
        """What the cycle tells of itself."""
        self._stage = told.stage.value
        if self._stage != self.stage or told.kind != self.moment:
            return
        if told.kind != "progress" or self._at_work(told):
            self.hit()

    def hit(self) -> None:
        """The process is at this point."""
        if not self._hit:
            self._hit = True
            self.act()

    def _at_work(self, told: Event) -> bool:
        """Whether a stage has really begun: it has read a file, trains, has asked something."""
        if self.stage == "gather":
            self._files.add(told.text)
            return len(self._files) > 1
        return told.done > 0 and (self.stage != "implant" or told.text.startswith("loss"))

    def _executing(self, connection: Any, _: Any, statement: str, *rest: Any) -> None:
        if self._stage != self.stage or not statement.startswith(self._statement):
            return
        if self._after:
            self._connections.add(id(connection.connection.dbapi_connection))
        else:
            self.hit()

    def _returned(self, dbapi: Any, _: Any) -> None:
        """A connection comes back to the pool when its transaction has ended."""
        if self._after and id(dbapi) in self._connections:
            self.hit()


def kill() -> None:
    """The process dies, as it stands."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_child() -> None:
    """The stage's own process dies; this one goes on."""
    for child in psutil.Process().children():
        if "adapt.stage" in child.cmdline():
            child.kill()


def fill(folder: Path, room: int = 0) -> None:
    """Write until the disk of a folder is full, or has `room` bytes left."""
    with (folder / BALLAST).open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 10, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
        file.truncate(file.tell() - room)


def limit() -> None:
    """Files cannot grow any more: a full disk, where none can be mounted to be filled."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


STEPS = (
    "gather:started",
    "gather:progress",
    "gather:after INSERT INTO snapshots",
    "synthesize:started",
    "synthesize:INSERT INTO examples",
    "synthesize:after INSERT INTO examples",
    "attribute:started",
    "attribute:progress",
    "attribute:done",
    "implant:started",
    "implant:progress",
    "implant:after INSERT INTO updates",
    "compose:started",
    "compose:progress",
    "compose:INSERT INTO versions",
    "compose:after INSERT INTO versions",
    "evaluate:started",
    "evaluate:progress",
    "evaluate:after INSERT INTO eval_reports",
    "evaluate:done",
    "gate:started",
    "gate:INSERT INTO gate_reports",
    "gate:after UPDATE versions",
    "swap:started",
    "swap:loaded",
    "swap:UPDATE versions",
    "swap:INSERT INTO flips",
    "swap:after INSERT INTO flips",
    "swap:after INSERT INTO trials",
    "swap:done",
    "swap:after UPDATE cycles",
)
"""Every point of a cycle at which a process is killed, in their order."""

assert list(dict.fromkeys(step.partition(":")[0] for step in STEPS)) == list(CycleStage)
