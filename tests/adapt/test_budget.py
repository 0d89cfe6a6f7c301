"""The budget of time: an update that takes too long is stopped, recorded, and leaves no child."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

from cycle_driver import build_runtime
from fake_runtime import fake_runtime, settings_of
from tiny_models import build_tiny_model, write_general_corpus

from adapt.cycle import run_cycle
from adapt.evals.encyclopedia import articles
from adapt.events import silent
from agent.config import BudgetSettings
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import CycleStage, CycleState

ONE_MINUTE = {"budget__cycle_minutes": 1.0}


def children() -> list[str]:
    """Command lines of the stages that this process has started and that live."""
    found = []
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        for pid in (task / "children").read_text().split():
            with contextlib.suppress(FileNotFoundError):
                command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
                found += [command] if "adapt.stage" in command else []
    return found


def test_a_stage_that_takes_too_long_is_stopped_with_its_child(tmp_path: Path) -> None:
    """Real attribution in a real child, with the time that it needs to import torch."""
    model = build_tiny_model(tmp_path / "model", max_length=1024)
    write_general_corpus(model)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for name, text in articles(3, 4).items():
        (inbox / name).write_text(text)
    seen: list[str] = []

    async def watch_children() -> None:
        while True:
            seen.extend(children())
            await asyncio.sleep(0.05)

    async def scenario() -> None:
        home = Home(tmp_path / "home")
        with home.lock(), Store.open(home, HashEmbedder()) as store:
            runtime, _ = build_runtime(home, store, model, inbox)
            short = BudgetSettings(cycle_minutes=3 / 60)
            runtime.settings = runtime.settings.model_copy(update={"budget": short})
            watching = asyncio.create_task(watch_children())
            cycle = await run_cycle(runtime, silent)
            assert seen and children() == []
            watching.cancel()
            await runtime.engine.close()
            assert cycle.state is CycleState.FAILED
            assert "longer than budget.cycle_minutes" in (cycle.error or "")
            assert "raise budget.cycle_minutes" in (cycle.error or "")
            assert cycle.stages[-1].stage in (CycleStage.ATTRIBUTE, CycleStage.IMPLANT)
            assert cycle.stages[-1].error == cycle.error
            assert store.cycles.unfinished() is None

    asyncio.run(scenario())


def record(store: Store, given: dict[CycleStage, dict[str, Any]], seconds: float) -> None:
    """A cycle that was interrupted after these stages, each of which took so long."""
    store.cycles.start({})
    for stage, outputs in given.items():
        store.cycles.stage_started(1, stage, {})
        store.cycles.stage_done(1, stage, outputs, seconds)


def test_what_an_earlier_process_took_counts(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_runtime(settings_of(tmp_path, **ONE_MINUTE)) as runtime:
            store = runtime.store
            corpus = store.documents.snapshot([]).digest
            record(store, {CycleStage.GATHER: {"corpus": corpus, "new": 1}}, 61.0)
            cycle = await run_cycle(runtime, silent)
            assert cycle.state is CycleState.FAILED
            assert "stopped in synthesize" in (cycle.error or "")

    asyncio.run(scenario())


def test_a_swap_is_never_cut_short(tmp_path: Path) -> None:
    """The verdict was there when the time was over: the cycle ends as it says."""

    async def scenario() -> None:
        async with fake_runtime(settings_of(tmp_path, **ONE_MINUTE)) as runtime:
            name = runtime.store.versions.list()[1].name
            given: dict[CycleStage, dict[str, Any]] = {
                stage: {"new": 1} for stage in list(CycleStage)[:-1]
            }
            given[CycleStage.COMPOSE] = {"version": name}
            given[CycleStage.GATE] = {"verdict": "promote"}
            record(runtime.store, given, 61.0)
            cycle = await run_cycle(runtime, silent)
            assert cycle.state is CycleState.PROMOTED
            assert runtime.live() == name

    asyncio.run(scenario())
