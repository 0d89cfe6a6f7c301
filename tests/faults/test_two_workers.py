"""Two processes that want one home, or one cycle: one has it, and a dead one loses it in time."""

import asyncio
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import worker_home
from faults import cycle_process
from faults.chain import Chain, said
from faults.invariants import TALLY, check_ended, check_home
from faults.processes import KILLED, ended, start

from store.records import CycleState

LASTS_S = 1.5
"""What worker_home promises its lease for."""


def compete(place: str, home: Path, mark: Path, times: int, seconds: float) -> None:
    """worker_home.compete in a process."""
    asyncio.run(worker_home.compete(place, home, mark, times, seconds))


def test_two_workers_on_one_home_run_one_cycle(chain: Chain, place: Path) -> None:
    """One of them is told who has the home; the cycle ends as if there were one."""
    home, learned = chain.at("gate:started", place), chain.learned
    both = [start(cycle_process.main, home, learned.model, learned.inbox) for _ in range(2)]
    TALLY.inject("two workers on one home")
    codes = sorted(ended(process) for process in both)
    check_home(home)
    check_ended(home, 1, CycleState.PROMOTED)
    # The later one may have found the home free, and nothing new in it.
    TALLY.check(codes == [0, 0] or "in use by process" in said(home), f"both say it: {codes}")


def test_a_dead_worker_s_cycle_is_finished_by_another_in_bounded_time(tmp_path: Path) -> None:
    """Two homes on one database; the lease of the dead one is lost, and its cycle is not."""
    place, mark = str(tmp_path / "shared.db"), tmp_path / "at work"
    dies = start(compete, place, tmp_path / "a", mark, 1, 600.0)
    while not mark.is_dir():
        assert dies.is_alive()
        time.sleep(0.01)
    lives = start(compete, place, tmp_path / "b", tmp_path / "other", 1, 0.0)
    time.sleep(1.0)
    TALLY.check(lives.is_alive(), "while the one lives the other waits")
    assert dies.pid
    os.kill(dies.pid, signal.SIGKILL)
    assert ended(dies) == KILLED
    TALLY.inject("SIGKILL of one of two workers")
    died = time.monotonic()
    TALLY.check(ended(lives) == 0, "the other goes on")
    took = time.monotonic() - died
    TALLY.check(took < 10 * LASTS_S, f"in bounded time: {took:.1f} s")
    check_one_cycle(place)


def test_a_worker_that_was_stopped_for_long_changes_nothing_any_more(tmp_path: Path) -> None:
    """It sleeps, another finishes its cycle, and it wakes up in the middle of its own work."""
    place, mark = str(tmp_path / "shared.db"), tmp_path / "at work"
    sleeps = start(compete, place, tmp_path / "a", mark, 1, 4.0)
    while not mark.is_dir():
        assert sleeps.is_alive()
        time.sleep(0.01)
    assert sleeps.pid
    os.kill(sleeps.pid, signal.SIGSTOP)
    TALLY.inject("worker that is stopped for longer than its lease")
    other = start(compete, place, tmp_path / "b", tmp_path / "other", 1, 0.0)
    TALLY.check(ended(other) == 0, "another goes on")
    os.kill(sleeps.pid, signal.SIGCONT)
    TALLY.check(ended(sleeps) == 1, "who had slept learns that it lost its lease")
    check_one_cycle(place)


def check_one_cycle(place: str) -> None:
    """One cycle was begun and has ended, and nobody holds its lease."""
    with closing(sqlite3.connect(place)) as db:
        states = db.execute("SELECT state FROM cycles").fetchall()
        holders = db.execute("SELECT holder FROM leases").fetchall()
    TALLY.check(states == [(CycleState.PROMOTED.value,)], f"one cycle has ended: {states}")
    TALLY.check(set(holders) <= {("",)}, f"the lease is free: {holders}")
