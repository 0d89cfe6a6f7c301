"""Homes as a killed process leaves them, made once a session and copied for each test.

One home goes through one cycle while its process is killed at every point, each time by the next
process that goes on where the last one died. So every point is met by a real kill, and heavy stages
run as few times as they can. Called by the fixtures and tests of this folder.
"""

import shutil
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from faults import cycle_process
from faults.invariants import TALLY, check_home
from faults.points import STEPS
from faults.processes import KILLED, finished

from store import Home


@dataclass(frozen=True)
class Learned:
    """What cycles of these tests learn from, and where they leave their homes."""

    root: Path
    model: Path
    inbox: Path

    def run(self, home: Path, where: str = "", act: str = "kill") -> int:
        """Run a cycle, or go on with one, in a process; its exit code."""
        return finished(cycle_process.main, home, self.model, self.inbox, where, act)


@dataclass
class Chain:
    """The home that dies, and its copies by the point at which it died."""

    learned: Learned
    _dead: dict[str, Path] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The one home, which is never left for another."""
        return self.learned.root / "chain"

    def dead(self, step: str) -> Path:
        """A copy of the home as it was when the process died at a step; not to be changed."""
        for point in STEPS[: STEPS.index(step) + 1]:
            if point not in self._dead:
                self._kill_at(point)
        return self._dead[step]

    def at(self, step: str, place: Path) -> Path:
        """A home of the test's own at `place`, as one that died at a step."""
        home = Path(shutil.copytree(self.dead(step), place, dirs_exist_ok=True))
        # A copy is another place, where the dead holder's lease would be waited for: half a minute
        # for each test. The wait itself is tested in test_two_workers.py.
        with sqlite3.connect(Home(home).database) as db:
            db.execute("UPDATE leases SET holder = ''")
        db.close()
        return home

    def finished(self) -> Path:
        """The home after the last process, which nothing has disturbed; not to be changed."""
        self.dead(STEPS[-1])
        if "end" not in self._dead:
            assert self.learned.run(self.home) == 0, said(self.home)
            self._keep("end")
        return self._dead["end"]

    def _kill_at(self, point: str) -> None:
        code = self.learned.run(self.home, point)
        assert code == KILLED, (point, code, said(self.home))
        TALLY.inject("SIGKILL of the process that runs a cycle")
        self._keep(point)
        check_home(self.home)

    def _keep(self, name: str) -> None:
        self._dead[name] = self.learned.root / f"dead-{len(self._dead):02d}"
        shutil.copytree(self.home, self._dead[name])


def said(home: Path) -> str:
    """What the last process of a home said when it failed."""
    log = cycle_process.log_of(home)
    return log.read_text() if log.exists() else "it said nothing"
