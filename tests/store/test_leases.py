"""Leases: one holder at a time, whatever the clocks do, and no write by whoever lost it.

The tests of one database take its URL or path, so that they run over any server as well.
"""

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from store.errors import BusyError, StateError
from store.leases import FencedDatabase, Leases
from store.records import utc_now
from store.source_records import Source
from store.sources import Sources

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Clock:
    """A clock that goes when told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shared(tmp_path: Path) -> FencedDatabase:
    """A migrated database that several processes could have open."""
    database = FencedDatabase(tmp_path / "shared.db")
    database.migrate()
    return database


def test_one_holder_at_a_time_and_the_fence_goes_up(shared: FencedDatabase) -> None:
    first, second = Leases(shared), Leases(shared)
    lease = first.take("cycle")
    with pytest.raises(BusyError, match="held by process"):
        second.take("cycle")
    with pytest.raises(BusyError):
        first.take("cycle")
    assert second.take("another").fence == 1
    first.release(lease)
    assert second.take("cycle").fence == lease.fence + 1


def test_a_dead_holder_loses_it_after_what_it_promised(shared: FencedDatabase) -> None:
    clock = Clock()
    dead = Leases(shared, lasts_s=30).take("cycle")
    waiter = Leases(shared, lasts_s=5, clock=clock)
    for _ in range(4):
        with pytest.raises(BusyError):
            waiter.take("cycle")
        clock.now += 10
    assert waiter.seen("cycle") == (dead.fence, 0)
    clock.now += 0.1
    assert waiter.take("cycle").fence == dead.fence + 1


def test_a_holder_that_renews_keeps_it_for_ever(shared: FencedDatabase) -> None:
    clock = Clock()
    holder, waiter = Leases(shared), Leases(shared, clock=clock)
    lease = holder.take("cycle")
    for _ in range(5):
        with pytest.raises(BusyError):
            waiter.take("cycle")
        holder.renew(lease)
        clock.now += 1000
    with pytest.raises(BusyError):
        waiter.take("cycle")
    assert waiter.seen("cycle") == (lease.fence, 5) and holder.holds(lease)


def test_no_clock_but_the_waiters_own_monotonic_one_counts(shared: FencedDatabase) -> None:
    """The holder's clock jumps by a year either way; the waiter's stands still while it sleeps."""
    away = Clock()
    holder, waiter = Leases(shared, clock=away), Leases(shared, clock=Clock())
    lease = holder.take("cycle")
    for jump in (-31e6, 62e6, -31e6):
        away.now += jump
        with pytest.raises(BusyError):
            waiter.take("cycle")
        holder.renew(lease)
    assert holder.holds(lease)


def test_who_begins_anew_at_its_own_place_waits_for_nobody(shared: FencedDatabase) -> None:
    before = Leases(shared).take("cycle", place="home 1")
    with pytest.raises(BusyError):
        Leases(shared).take("cycle", place="home 2")
    with pytest.raises(BusyError):
        Leases(shared).take("cycle")
    assert Leases(shared).take("cycle", place="home 1").fence == before.fence + 1


def test_who_lost_it_writes_nothing_any_more(shared: FencedDatabase) -> None:
    """The write and the proof are one transaction; others, and reads, are not held up."""
    slept, clock = Leases(shared), Clock()
    sources = Sources(shared)
    lease = slept.take("cycle")
    with slept.held(lease):
        sources.add(Source(name="before", location="before", added_at=utc_now()))
    thief = Leases(shared, clock=clock)
    with pytest.raises(BusyError):
        thief.take("cycle")
    clock.now += 31
    taken = thief.take("cycle")

    async def late() -> None:
        await asyncio.gather(asyncio.create_task(asyncio.to_thread(add_late)))

    def add_late() -> None:
        sources.add(Source(name="late", location="late", added_at=utc_now()))

    with slept.held(lease):
        with pytest.raises(StateError, match="fence 1"):
            asyncio.run(late())
        assert [s.name for s in sources.list()] == ["before"]
    sources.add(Source(name="not fenced", location="not fenced", added_at=utc_now()))
    with pytest.raises(StateError):
        slept.renew(lease)
    slept.release(lease)
    assert not slept.holds(lease) and thief.holds(taken)


def test_processes_that_want_it_at_once_get_it_one_by_one(tmp_path: Path) -> None:
    """Four processes, each takes it many times; no two hold it together, and no fence repeats."""
    place = str(tmp_path / "shared.db")
    FencedDatabase(Path(place)).migrate()
    code = (
        "import sys, time; from pathlib import Path; from store.errors import BusyError\n"
        "from store.leases import FencedDatabase, Leases\n"
        "place, mark = sys.argv[1], Path(sys.argv[2])\n"
        "leases = Leases(FencedDatabase(place if '://' in place else Path(place)))\n"
        "taken = 0\n"
        "while taken < 10:\n"
        "    try: lease = leases.take('work')\n"
        "    except BusyError: time.sleep(0.002); continue\n"
        "    mark.mkdir(); print(lease.fence); taken += 1\n"
        "    time.sleep(0.002); mark.rmdir(); leases.release(lease)\n"
    )
    command = [sys.executable, "-c", code, place, str(tmp_path / "at work")]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert sorted(int(line) for text in said for line in text.split()) == list(range(1, 41))
