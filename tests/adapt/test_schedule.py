"""The worker: when it starts a cycle, when it does not, and what it leaves behind."""

import asyncio
from pathlib import Path

import pytest
from fake_runtime import fake_runtime, settings_of
from worker_home import ending, for_ever, home_with, nothing

from adapt.cycle import run_cycle
from adapt.events import Notify
from adapt.runtime import Runtime
from adapt.schedule import Worker
from store.errors import ConfigError, StateError
from store.records import Cycle, CycleState


async def begun(runtime: Runtime) -> None:
    """Until a cycle is recorded."""
    async with asyncio.timeout(60):
        while runtime.store.cycles.unfinished() is None:
            await asyncio.sleep(0.01)


def test_without_anything_new_no_cycle_is_even_recorded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with home_with(tmp_path) as runtime:
            worker = Worker(runtime)
            assert await worker.tick() == "nothing"
            assert runtime.store.cycles.list() == []

    asyncio.run(scenario())


def test_a_new_file_starts_a_cycle_and_is_not_new_twice(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with home_with(tmp_path, "The capital of Vok is Tarn.") as runtime:
            worker = Worker(runtime, cycle=ending(CycleState.PROMOTED))
            assert await worker.tick() == "ran"
            assert await worker.tick() == "nothing"
            (tmp_path / "docs" / "0.md").write_text("The capital of Vok is Ulm.")
            assert await worker.tick() == "ran"
            assert [c.number for c in runtime.store.cycles.list()] == [1, 2]

    asyncio.run(scenario())


def test_a_file_that_cannot_be_used_starts_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with home_with(tmp_path, "") as runtime:
            (tmp_path / "docs" / "picture.png").write_bytes(b"\x89PNG\0")
            assert await Worker(runtime).tick() == "nothing"

    asyncio.run(scenario())


def test_fewer_new_documents_than_asked_for_wait(tmp_path: Path) -> None:
    async def scenario() -> None:
        few = {"schedule__min_new_documents": 2}
        async with home_with(tmp_path, "One thing is told here.", **few) as runtime:
            worker = Worker(runtime, cycle=ending(CycleState.PROMOTED))
            assert await worker.tick() == "nothing"
            (tmp_path / "docs" / "more.md").write_text("Another thing is told here.")
            assert await worker.tick() == "ran"

    asyncio.run(scenario())


def test_a_cycle_that_breaks_is_recorded_as_failed(tmp_path: Path) -> None:
    """An error that nobody foresaw must not leave a cycle that is resumed for ever."""

    async def breaks(runtime: Runtime, notify: Notify) -> Cycle:
        runtime.store.cycles.start({})
        raise AssertionError("nobody foresaw this")

    async def scenario() -> None:
        async with home_with(tmp_path, "The capital of Vok is Tarn.") as runtime:
            worker = Worker(runtime, cycle=breaks)
            assert await worker.tick() == "ran"
            cycle = runtime.store.cycles.get(1)
            assert cycle.state is CycleState.FAILED and "nobody foresaw" in (cycle.error or "")
            assert await worker.tick() == "waiting"

    asyncio.run(scenario())


def test_one_cycle_at_a_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with home_with(tmp_path, "The capital of Vok is Tarn.") as runtime:
            worker = Worker(runtime, cycle=for_ever)
            assert worker.begin() == 1
            with pytest.raises(StateError, match="an update is running"):
                worker.begin()
            assert await worker.tick() == "busy"
            await begun(runtime)
            assert worker.report()["running"] == 1
            await worker.stop()

    asyncio.run(scenario())


def test_a_stopped_cycle_goes_on_in_the_next_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with home_with(tmp_path) as runtime:
            worker = Worker(runtime, cycle=for_ever)
            worker.begin()
            await begun(runtime)
            await worker.stop()
            assert not worker.running
            assert runtime.store.cycles.get(1).state is CycleState.RUNNING
        async with home_with(tmp_path) as runtime:
            worker = Worker(runtime, cycle=run_cycle)
            worker.start()
            assert worker.running
            while worker.running:
                await asyncio.sleep(0.02)
            await worker.stop()
            assert [c.state for c in runtime.store.cycles.list()] == [CycleState.SKIPPED]

    asyncio.run(scenario())


def test_the_schedule_itself_starts_cycles(tmp_path: Path) -> None:
    """Real APScheduler, one tick a second."""

    async def scenario() -> None:
        rhythm = {"schedule__interval_minutes": 1 / 60}
        async with home_with(tmp_path, "The capital of Vok is Tarn.", **rhythm) as runtime:
            worker = Worker(runtime, cycle=ending(CycleState.PROMOTED), ahead=nothing)
            worker.start()
            assert worker.report()["next"] is not None
            async with asyncio.timeout(60):
                while not runtime.store.cycles.list() or worker.running:
                    await asyncio.sleep(0.05)
            await worker.stop()
            assert runtime.store.cycles.get(1).state is CycleState.PROMOTED

    asyncio.run(scenario())


def test_what_the_next_cycle_needs_is_made_while_nothing_else_is_at_work(tmp_path: Path) -> None:
    """Once at the start and once after a cycle, which takes precedence; not without a source."""
    made: list[str] = []

    async def ahead(runtime: Runtime) -> None:
        made.append("begun")
        await asyncio.sleep(600 if len(made) == 1 else 0)
        made.append("done")

    async def scenario() -> None:
        async with fake_runtime(settings_of(tmp_path / "bare")) as runtime:
            worker = Worker(runtime, ahead=ahead)
            worker.start()
            await asyncio.sleep(0.05)
            await worker.stop()
            assert made == []
        async with home_with(tmp_path, "The capital of Vok is Tarn.") as runtime:
            worker = Worker(runtime, cycle=ending(CycleState.PROMOTED), ahead=ahead)
            worker.start()
            await asyncio.sleep(0.05)
            assert made == ["begun"]
            assert await worker.tick() == "ran"
            await asyncio.sleep(0.05)
            await worker.stop()
            assert made == ["begun", "begun", "done"]

    asyncio.run(scenario())


def test_a_fault_in_what_is_made_ahead_stops_nothing(tmp_path: Path) -> None:
    async def ahead(runtime: Runtime) -> None:
        raise ConfigError("no corpus")

    async def scenario() -> None:
        async with home_with(tmp_path, "The capital of Vok is Tarn.") as runtime:
            worker = Worker(runtime, cycle=ending(CycleState.PROMOTED), ahead=ahead)
            worker.start()
            await asyncio.sleep(0.05)
            assert await worker.tick() == "ran"
            await worker.stop()

    asyncio.run(scenario())
