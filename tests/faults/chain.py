"""Homes as a killed process leaves them, made once a session and copied for each test.

One home goes through one cycle while its process is killed at every point, each time by the next
process that goes on where the last one died. So every point is met by a real kill, and heavy stages
run as few times as they can. Called by the fixtures and tests of this folder.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults import cycle_process
from faults.invariants import TALLY, check_home
from faults.points import STEPS
from faults.processes import KILLED, finished

from store import Home

END = "end"
Waiting = dict[Any, Future[None]]
"""Work under way by its case."""
Together = Callable[[Callable[..., None], Iterable[Any]], Waiting]
"""Begins with a piece of work for each case, each in a home of its own, which is its first
argument; gives what to wait for, by the case."""


@dataclass(frozen=True)
class Learned:
    """What cycles of these tests learn from, and where they leave their homes."""

    root: Path
    model: Path
    inbox: Path

    def run(self, home: Path, where: str = "", act: str = "kill") -> int:
        """Run a cycle, or go on with one, in a process; its exit code."""
        return finished(cycle_process.main, home, self.model, self.inbox, where, act)


class Chain:
    """The home that dies, and its copies by the point at which it died.

    Its processes run one after the other, beside the tests that need none of them.
    """

    def __init__(self, learned: Learned) -> None:
        self.learned = learned
        self.home = learned.root / "chain"
        """The one home, which is never left for another."""
        self._one = ThreadPoolExecutor(1)
        self._dead: dict[str, Future[Path]] = {}

    def begin(self) -> None:
        """Begin with all of it."""
        for step in (*STEPS, END):
            self._dead[step] = self._one.submit(self._kill_at if step != END else self._end, step)

    def close(self) -> None:
        """Begin with nothing more."""
        self._one.shutdown(cancel_futures=True)

    def dead(self, step: str) -> Path:
        """A copy of the home as it was when the process died at a step; not to be changed."""
        if not self._dead:
            self.begin()
        return self._dead[step].result()

    def finished(self) -> Path:
        """The home after the last process, which nothing has disturbed; not to be changed."""
        return self.dead(END)

    def at(self, step: str, place: Path) -> Path:
        """A home of the test's own at `place`, as one that died at a step."""
        home = Path(shutil.copytree(self.dead(step), place, dirs_exist_ok=True))
        # A copy is another place, where the dead holder's lease would be waited for: half a minute
        # for each test. The wait itself is tested in test_two_workers.py.
        with sqlite3.connect(Home(home).database) as db:
            db.execute("UPDATE leases SET holder = ''")
        db.close()
        return home

    def trained(self, place: Path) -> Path:
        """The same, as one whose trainer of the implant stage is done; nothing of it is stored."""
        home = self.at("implant:after INSERT INTO updates", place)
        # The result is of a request that names its folder; the mask stays where it is.
        for file in (home / "cycles" / "0001" / "implant" / "child").glob("*.json"):
            said = file.read_text()
            file.write_text(said.replace(str(self.home / "cycles"), str(home / "cycles")))
        shutil.rmtree(home / "artifacts")
        (home / "artifacts").mkdir()
        return home

    def _kill_at(self, point: str) -> Path:
        code = self.learned.run(self.home, point)
        assert code == KILLED, (point, code, said(self.home))
        TALLY.inject("SIGKILL of the process that runs a cycle")
        check_home(self.home)
        return self._copied(point)

    def _end(self, point: str) -> Path:
        assert self.learned.run(self.home) == 0, said(self.home)
        return self._copied(point)

    def _copied(self, name: str) -> Path:
        place = (*STEPS, END).index(name)
        return shutil.copytree(self.home, self.learned.root / f"dead-{place:02d}")


def said(home: Path) -> str:
    """What the last process of a home said when it failed."""
    log = cycle_process.log_of(home)
    return log.read_text() if log.exists() else "it said nothing"
