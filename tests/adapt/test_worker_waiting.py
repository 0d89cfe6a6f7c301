"""Why the worker waits, and until when: failures, refusals, clocks that jump, a full disk."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from worker_home import ending, home_with, nothing

from adapt.budget import GIB, note_written
from adapt.runtime import Runtime
from adapt.schedule import Worker
from adapt.worker_run import RunCycle
from adapt.worker_waiting import Surroundings
from store.records import CycleStage, CycleState, VersionState, utc_now


@dataclass
class Around:
    """Clocks and a disk that change when told to."""

    moment: datetime = field(default_factory=utc_now)
    seconds: float = 0.0
    bytes: int = 1 << 50

    def begins(self) -> None:
        """The time of day is that which cycles are recorded with."""
        self.moment = utc_now()

    def passes(self, time: timedelta) -> None:
        """Time goes by, for both clocks."""
        self.moment += time
        self.seconds += time.total_seconds()

    def surroundings(self) -> Surroundings:
        return Surroundings(lambda: self.moment, lambda: self.seconds, lambda _: self.bytes)


def worker_in(runtime: Runtime, around: Around, cycle: RunCycle) -> Worker:
    return Worker(runtime, cycle=cycle, ahead=nothing, around=around.surroundings())


REFUSALS = [CycleState.REJECTED, CycleState.ABSTAINED]


@pytest.mark.parametrize("state", REFUSALS)
def test_a_refused_update_is_tried_again_after_a_growing_pause(
    tmp_path: Path, state: CycleState
) -> None:
    """The same documents would train the same candidate, tick by tick."""

    async def scenario() -> None:
        around = Around()
        async with home_with(tmp_path, "The capital of Vok is Tarn.") as runtime:
            worker = worker_in(runtime, around, ending(state))
            for days in (1, 2, 4):
                assert await worker.tick() == "ran"
                around.begins()
                around.passes(timedelta(days=days, minutes=-5))
                assert await worker.tick() == "waiting"
                said = worker.report()
                assert "refused: it waits for new documents" in said["waiting"]
                until = datetime.fromisoformat(said["waiting_until"])
                assert timedelta() < until - around.moment <= timedelta(minutes=6)
                around.passes(timedelta(minutes=10))

    asyncio.run(scenario())


def test_new_documents_end_the_wait_after_a_refusal(tmp_path: Path) -> None:
    async def scenario() -> None:
        around = Around()
        async with home_with(tmp_path, "The capital of Vok is Tarn.") as runtime:
            assert await worker_in(runtime, around, ending(CycleState.REJECTED)).tick() == "ran"
            (tmp_path / "docs" / "new.md").write_text("The river of Vok is the Olm.")
            worker = worker_in(runtime, around, ending(CycleState.PROMOTED))
            assert await worker.tick() == "ran"
            assert worker.report()["waiting"] is None
            around.passes(timedelta(days=400))
            assert await worker.tick() == "nothing"

    asyncio.run(scenario())


def test_after_failed_cycles_the_pause_grows(tmp_path: Path) -> None:
    async def scenario() -> None:
        around = Around()
        async with home_with(tmp_path, "The capital of Vok is Tarn.") as runtime:
            worker = worker_in(runtime, around, ending(CycleState.FAILED))
            assert worker.report()["waiting"] is None
            for number, minutes in enumerate((5, 10, 20, 40), 1):
                assert await worker.tick() == "ran"
                around.begins()
                around.passes(timedelta(minutes=minutes - 1))
                assert await worker.tick() == "waiting"
                assert f"perennial cycles show {number}" in worker.report()["waiting"]
                around.passes(timedelta(minutes=2))

    asyncio.run(scenario())


def test_a_time_of_day_that_is_set_back_does_not_lengthen_a_pause(tmp_path: Path) -> None:
    async def scenario() -> None:
        around = Around()
        async with home_with(tmp_path, "The capital of Vok is Tarn.") as runtime:
            worker = worker_in(runtime, around, ending(CycleState.FAILED))
            assert await worker.tick() == "ran"
            around.moment -= timedelta(days=365)
            assert await worker.tick() == "waiting"
            around.passes(timedelta(minutes=6))
            assert await worker.tick() == "ran"

    asyncio.run(scenario())


def test_a_person_s_request_waits_for_no_pause(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with home_with(tmp_path, "The capital of Vok is Tarn.") as runtime:
            worker = worker_in(runtime, Around(), ending(CycleState.FAILED))
            assert await worker.tick() == "ran"
            assert worker.begin() == 2
            await worker.stop()

    asyncio.run(scenario())


def test_what_a_person_promoted_after_its_refusal_is_not_tried_again(tmp_path: Path) -> None:
    """The live version knows those documents: an update on them would find nothing."""

    async def scenario() -> None:
        around = Around()
        async with home_with(tmp_path, "The capital of Vok is Tarn.") as runtime:
            worker = worker_in(runtime, around, ending(CycleState.REJECTED))
            assert await worker.tick() == "ran"
            store = runtime.store
            tried = store.documents.list()[0].digest
            teach(runtime, tried)
            around.passes(timedelta(days=2))
            assert await worker.tick() == "nothing"

    asyncio.run(scenario())


def teach(runtime: Runtime, document: str) -> None:
    """Make a version live that learned a document."""
    from store.records import Update

    store = runtime.store
    made = store.versions.list()[1]
    corpus = store.documents.snapshot([document])
    update = Update(
        digest="u" * 64, base_digest=made.base_digest, mask_digest="m" * 64,
        corpus_digest=corpus.digest, examples_digest="e" * 64, settings={}, seed=0,
        created_at=utc_now(),
    )  # fmt: skip
    store.versions.add_update(update)
    name = "v2-aaaaaa"
    learned = made.model_copy(
        update={"name": name, "number": 2, "digest": "a" * 64, "update": update.digest,
                "state": VersionState.PROMOTED}
    )  # fmt: skip
    store.versions.create(learned)
    store.versions.go_live(name)


def test_a_disk_with_less_than_the_last_update_wrote_makes_it_wait(tmp_path: Path) -> None:
    async def scenario() -> None:
        around = Around()
        async with home_with(tmp_path, "The capital of Vok is Tarn.") as runtime:
            store, home = runtime.store, runtime.home
            cycle = store.cycles.start({})
            store.cycles.stage_started(1, CycleStage.COMPOSE, {})
            digest = store.versions.list()[1].digest
            store.cycles.stage_done(1, CycleStage.COMPOSE, {"digest": digest}, 1.0)
            work = home.cycles / "0001" / "implant"
            work.mkdir(parents=True)
            with (work / "rows").open("wb") as file:
                file.truncate(3 * GIB)
            store.cycles.finish(cycle.number, CycleState.PROMOTED)
            note_written(home, store.artifacts, store.cycles.get(1))
            worker = worker_in(runtime, around, ending(CycleState.PROMOTED))
            around.bytes = 2 * GIB
            assert await worker.tick() == "waiting"
            assert "2 GiB left" in worker.report()["waiting"]
            assert "wrote 3 GiB" in worker.report()["waiting"]
            around.bytes = 4 * GIB
            assert await worker.tick() == "ran"

    asyncio.run(scenario())
