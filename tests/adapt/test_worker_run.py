"""One cycle at a time on one database: live and dead holders, lost leases, real processes.

`place` is the database of the tests with several homes, a path or a URL.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import worker_home
from fake_runtime import add_version
from worker_home import ending, for_ever, home_on, nothing

from adapt.events import Notify, silent
from adapt.runtime import Runtime
from adapt.schedule import Worker
from adapt.worker_run import ARTIFACTS, LEASE, place_of, run_alone
from agent.config import BudgetSettings
from store import Store
from store.errors import BusyError, StateError
from store.leases import Lease, Leases
from store.records import Cycle, CycleState

ROOT = Path(__file__).resolve().parents[2]
LASTS_S = 0.9


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "shared.db")


def process(
    place: str, home: Path, mark: Path, times: int, seconds: float, lasts_s: float = 1.5
) -> subprocess.Popen[str]:
    """Another process that runs cycles on the database."""
    arguments = [place, str(home), str(mark), str(times), str(seconds), str(lasts_s)]
    return subprocess.Popen(
        [sys.executable, worker_home.__file__, *arguments], cwd=ROOT, stdout=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONPATH": ".:tests"},
    )  # fmt: skip


def test_two_processes_never_run_two_cycles_at_once(place: str, tmp_path: Path) -> None:
    mark = tmp_path / "at work"
    # A lease that outlasts every stall of a busy machine: none is lost here.
    running = [process(place, tmp_path / name, mark, 4, 0.05, 60.0) for name in "ab"]
    said = [each.communicate(timeout=300)[0].split() for each in running]
    assert [each.returncode for each in running] == [0, 0]
    assert sorted(map(int, said[0] + said[1])) == list(range(1, 9))


def test_a_killed_process_s_cycle_goes_on_in_another(place: str, tmp_path: Path) -> None:
    """Its lease is lost within what it promised, here 1.5 s, and its cycle is the one that ends."""
    mark = tmp_path / "at work"
    dies = process(place, tmp_path / "a", mark, 1, 600)
    deadline = time.monotonic() + 300
    while not mark.is_dir():
        assert dies.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    lives = process(place, tmp_path / "b", tmp_path / "another mark", 1, 0)
    with pytest.raises(subprocess.TimeoutExpired):
        lives.wait(5)
    os.kill(dies.pid, signal.SIGKILL)
    dies.communicate()
    assert lives.communicate(timeout=300)[0].split() == ["1"]


@asynccontextmanager
async def other_holder(store: Store, name: str = LEASE) -> AsyncIterator[Lease]:
    """Another process that holds the lease and lives."""
    leases = Leases(store.database, LASTS_S)
    lease = leases.take(name)

    async def live() -> None:
        while True:
            leases.renew(lease)
            await asyncio.sleep(LASTS_S / 6)

    living = asyncio.create_task(live())
    yield lease
    living.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await living


def test_while_another_process_runs_updates_none_starts_and_it_says_why(
    place: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with home_on(place, tmp_path / "home", LASTS_S) as runtime:
            runtime.store.cycles.start({})
            worker = Worker(runtime, cycle=ending(CycleState.PROMOTED), ahead=nothing)
            async with other_holder(runtime.store):
                assert worker.begin() == 1
                while worker.running:
                    await asyncio.sleep(0.02)
                assert "another process runs updates" in worker.report()["waiting"]
                assert runtime.store.cycles.get(1).state is CycleState.RUNNING
            runtime.store.cycles.finish(1, CycleState.PROMOTED)
            assert worker.report()["waiting"] is None

    asyncio.run(scenario())


def test_a_worker_takes_over_what_another_that_died_has_left(place: str, tmp_path: Path) -> None:
    """While it is at work already, and nobody asks it to."""

    async def scenario() -> None:
        async with home_on(place, tmp_path / "home", LASTS_S) as runtime:
            worker = Worker(runtime, cycle=ending(CycleState.PROMOTED), ahead=nothing, care_s=0.05)
            worker.start()
            Leases(runtime.store.database, LASTS_S).take(LEASE)
            runtime.store.cycles.start({})
            async with asyncio.timeout(60):
                while runtime.store.cycles.get(1).state is CycleState.RUNNING:
                    await asyncio.sleep(0.02)
            await worker.stop()
            assert runtime.store.cycles.get(1).state is CycleState.PROMOTED

    asyncio.run(scenario())


def test_after_a_kill_the_same_home_goes_on_at_once(place: str, tmp_path: Path) -> None:
    """Its lock proves that the holder is dead; with the usual lease others wait 30 s."""

    async def scenario() -> None:
        async with home_on(place, tmp_path / "home", 3600) as runtime:
            Leases(runtime.store.database, 3600).take(LEASE, place_of(runtime.home))
            async with asyncio.timeout(60):
                done = await run_alone(runtime, silent, ending(CycleState.PROMOTED))
            assert done.state is CycleState.PROMOTED

    asyncio.run(scenario())


def test_a_cycle_that_lost_its_lease_changes_nothing_any_more(place: str, tmp_path: Path) -> None:
    """It neither goes live nor ends the cycle, which belongs to who has the lease now."""

    async def scenario() -> None:
        async with home_on(place, tmp_path / "home", LASTS_S) as runtime:
            store = runtime.store
            name = add_version(store).name
            live = runtime.live()

            async def slept(runtime: Runtime, notify: Notify) -> Cycle:
                store.cycles.start({})
                steal(store)
                store.versions.go_live(name)
                raise AssertionError("never reached")

            with pytest.raises(StateError, match="was lost"):
                await run_alone(runtime, silent, slept)
            assert runtime.live() == live
            assert store.cycles.get(1).state is CycleState.RUNNING
            assert store.versions.go_live(name) == live

    asyncio.run(scenario())


def steal(store: Store) -> Lease:
    """Take the lease as somebody does whose clock has seen it stand still for long enough."""
    now = [0.0]
    thief = Leases(store.database, LASTS_S, clock=lambda: now[0])
    with pytest.raises(BusyError):
        thief.take(LEASE)
    now[0] += 2 * LASTS_S
    return thief.take(LEASE)


def test_a_cycle_is_stopped_when_its_lease_is_lost(place: str, tmp_path: Path) -> None:
    """Within a renewal, so that two do not train side by side for long."""

    async def scenario() -> None:
        async with home_on(place, tmp_path / "home", LASTS_S) as runtime:
            task = asyncio.create_task(run_alone(runtime, silent, for_ever))
            while runtime.store.cycles.unfinished() is None:
                await asyncio.sleep(0.02)
            lease = await asyncio.to_thread(steal, runtime.store)
            async with asyncio.timeout(60):
                with pytest.raises(StateError, match="was lost"):
                    await task
            assert runtime.store.leases.holds(lease)

    asyncio.run(scenario())


def test_after_a_cycle_old_weights_go_but_not_while_a_backup_is_made(
    place: str, tmp_path: Path
) -> None:
    """The cycle itself ends as it does otherwise."""

    async def scenario() -> None:
        async with home_on(place, tmp_path / "home", LASTS_S) as runtime:
            store = runtime.store
            for number in range(1, 5):
                store.versions.go_live(add_version(store, number).name)
            few = BudgetSettings(versions=2)
            runtime.settings = runtime.settings.model_copy(update={"budget": few})
            async with other_holder(store, ARTIFACTS):
                done = await run_alone(runtime, silent, ending(CycleState.PROMOTED))
                assert done.state is CycleState.PROMOTED
                assert len(store.artifacts.digests()) == 4
            await run_alone(runtime, silent, ending(CycleState.PROMOTED))
            assert len(store.artifacts.digests()) == 3

    asyncio.run(scenario())
