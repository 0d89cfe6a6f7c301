"""Why the schedule starts no update now, and until when, in words.

After failed updates and after refused ones it waits, longer each time; the refused ones' documents
would train the same candidate again. It waits while the disk has too little left, and while
another process runs updates on the same database. A person's request waits for none of these.
Called by adapt.schedule.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile

from adapt.budget import Free, disk_lacks, free_at
from adapt.cycle_learning import learned_documents
from adapt.runtime import Runtime
from store.records import Cycle, CycleStage, CycleState, DocumentState, utc_now

FAILED_PAUSE = timedelta(minutes=5)
"""After a failed cycle; doubled with each further one."""
MAX_FAILED_PAUSE = timedelta(hours=6)
REFUSED_PAUSE = timedelta(days=1)
"""After a refused update, before the same documents are tried again; doubled with each."""
MAX_REFUSED_PAUSE = timedelta(days=30)
_REFUSED = (CycleState.REJECTED, CycleState.ABSTAINED)


@dataclass(frozen=True)
class Surroundings:
    """What is read from outside: the time of day, a clock that only goes up, the free disk."""

    now: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic
    free: Free = free_at


@dataclass(frozen=True)
class Wait:
    """What is waited for. `until` is None where no moment ends it."""

    why: str
    until: datetime | None = None


@dataclass
class Waiting:
    """The reasons of one runtime's worker."""

    runtime: Runtime
    around: Surroundings = Surroundings()
    elsewhere: str = ""
    """Who else runs updates, in words, as far as the last try told."""
    _first_seen: dict[int, float] = field(default_factory=dict)

    def reason(self) -> Wait | None:
        """The first thing that is waited for, without a look at what is new; None for nothing."""
        at_work = self.elsewhere and self.runtime.store.cycles.unfinished() is not None
        other = Wait(self.elsewhere) if at_work else None
        return other or self.after_failures() or self.for_disk() or self.after_refusals()

    def for_disk(self) -> Wait | None:
        """A disk on which an update would fail."""
        lacks = disk_lacks(self.runtime.home, self.around.free)
        return Wait(lacks) if lacks else None

    def after_failures(self) -> Wait | None:
        """The pause after cycles that failed in a row."""
        newest = self.runtime.store.cycles.newest_first()
        failed = list(takewhile(lambda cycle: cycle.state is CycleState.FAILED, newest))
        until = self._until(failed[:1], len(failed), FAILED_PAUSE, MAX_FAILED_PAUSE)
        if until is None:
            return None
        what = "the last update" if len(failed) == 1 else f"the last {len(failed)} updates"
        return Wait(
            f"{what} failed (perennial cycles show {failed[0].number}): the next try is "
            f"after {_minute(until)}",
            until,
        )

    def after_refusals(self) -> Wait | None:
        """The pause before refused documents are tried again; new ones end it."""
        tries = self._tries()
        refused = [cycle for cycle in tries if cycle.state in _REFUSED]
        if not refused:
            return None
        until = self._until(tries, len(refused), REFUSED_PAUSE, MAX_REFUSED_PAUSE)
        if until is None:
            return None
        what = "the last update was" if len(refused) == 1 else f"{len(refused)} updates were"
        return Wait(
            f"{what} refused: it waits for new documents, or tries the same again after "
            f"{_minute(until)}",
            until,
        )

    def to_retry(self) -> bool:
        """Whether documents of a refused update are there and have waited long enough."""
        refused = [cycle for cycle in self._tries() if cycle.state in _REFUSED]
        if not refused or self.after_refusals() is not None:
            return False
        store = self.runtime.store
        gathered = refused[0].gave(CycleStage.GATHER)
        if gathered is None:
            return False
        tried = store.documents.get_snapshot(gathered["corpus"]).documents
        # A person may have promoted what the gate refused.
        untaught = set(tried) - learned_documents(self.runtime)
        return any(store.documents.get(d).state is DocumentState.ACCEPTED for d in untaught)

    def _tries(self) -> list[Cycle]:
        """Cycles since the last that was promoted, less those that failed, the newest first."""
        newest = self.runtime.store.cycles.newest_first()
        since = takewhile(lambda cycle: cycle.state is not CycleState.PROMOTED, newest)
        return [cycle for cycle in since if cycle.state in (*_REFUSED, CycleState.SKIPPED)]

    def _until(
        self, cycles: list[Cycle], times: int, first: timedelta, most: timedelta
    ) -> datetime | None:
        """The end of the pause after the first of `cycles`, after so many alike; None when over.

        By the time of day or by our own clock since we know of it, whichever is over first: a
        time of day that is set back must not make the pause a year.
        """
        if not cycles or cycles[0].ended_at is None:
            return None
        now, own = self.around.now(), self.around.monotonic()
        pause = min(first * 2 ** min(times - 1, 16), most)
        known = timedelta(seconds=own - self._first_seen.setdefault(cycles[0].number, own))
        left = min(cycles[0].ended_at + pause - now, pause - known)
        return now + left if left > timedelta() else None


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
