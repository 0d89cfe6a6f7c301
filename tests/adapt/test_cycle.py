"""The update cycle from documents to a live version, on a tiny model and the fake engine."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cycle_driver import build_runtime
from tiny_models import build_tiny_model, write_general_corpus

from adapt.ahead import prepare
from adapt.cycle import run_cycle
from adapt.evals.encyclopedia import articles
from adapt.evals.pairs import WATCHED
from adapt.events import silent
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import Cycle, CycleStage, CycleState, VersionState
from tools.virtual_api.catalogue import build_catalogue

DRIVER = Path(__file__).parent.parent / "cycle_driver.py"
ROOT = DRIVER.parent.parent


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base that brings a general corpus."""
    path = build_tiny_model(tmp_path_factory.mktemp("base") / "model", max_length=1024)
    write_general_corpus(path)
    return path


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documentation of one tool and an article, with files that cannot be taken in."""
    folder = tmp_path_factory.mktemp("inbox")
    tool = build_catalogue(0).category("Museums")[0]
    (folder / "tool.json").write_text(json.dumps(tool.to_json()))
    for name, text in articles(3, 4).items():
        (folder / name).write_text(text)
    (folder / "broken.json").write_text("{")
    return folder


def drive(
    home: Path, model: Path, inbox: Path, stage: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the driver to its end, or to its death."""
    command = [sys.executable, str(DRIVER), str(home), str(model), str(inbox)]
    return subprocess.run(
        [*command, stage] if stage else command,
        cwd=ROOT,
        timeout=500,
        text=True,
        capture_output=True,
        check=False,
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": f"{ROOT}:{DRIVER.parent}", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def undisturbed(model: Path, inbox: Path, tmp_path_factory: pytest.TempPathFactory) -> Cycle:
    """A cycle that nothing interrupts."""
    done = drive(tmp_path_factory.mktemp("calm") / "home", model, inbox)
    assert done.returncode == 0, done.stderr
    return Cycle.model_validate_json(done.stdout.splitlines()[-1])


def outputs(cycle: Cycle, stage: CycleStage) -> dict[str, object]:
    """What a stage gave."""
    return next(s.outputs for s in cycle.stages if s.stage is stage) or {}


def test_a_cycle_promotes_what_answers_better(undisturbed: Cycle) -> None:
    """Every stage is recorded, and the version that knows the documents is live."""
    assert undisturbed.state is CycleState.PROMOTED, undisturbed.error
    assert [s.stage for s in undisturbed.stages] == list(CycleStage)
    version = outputs(undisturbed, CycleStage.COMPOSE)["version"]
    assert outputs(undisturbed, CycleStage.SWAP)["live"] == version


def test_a_refused_file_is_reported(undisturbed: Cycle) -> None:
    """The broken file is named with its reason; the others are learned."""
    gathered = outputs(undisturbed, CycleStage.GATHER)
    assert gathered["new"] == 2
    assert [r["reason"][:11] for r in gathered["refused"]] == ["is not JSON"]  # type: ignore[index]


def test_a_cycle_killed_in_every_stage_ends_with_the_same_version(
    undisturbed: Cycle, model: Path, inbox: Path, tmp_path: Path
) -> None:
    """SIGKILL in each stage, one after the other; the last run finishes the one cycle."""
    home = tmp_path / "home"
    for stage in CycleStage:
        died = drive(home, model, inbox, stage.value)
        assert died.returncode == -signal.SIGKILL, (stage, died.stderr)
    done = drive(home, model, inbox)
    assert done.returncode == 0, done.stderr
    cycle = Cycle.model_validate_json(done.stdout.splitlines()[-1])
    assert (cycle.number, cycle.state) == (1, CycleState.PROMOTED), cycle.error
    for stage, key in ((CycleStage.COMPOSE, "digest"), (CycleStage.IMPLANT, "update")):
        assert outputs(cycle, stage)[key] == outputs(undisturbed, stage)[key]
    place = Home(home)
    with Store.open(place, HashEmbedder()) as store:
        states = [v.state for v in store.versions.list()]
    assert states == [VersionState.RETIRED, VersionState.LIVE]


def test_what_was_made_ahead_is_used_and_changes_nothing(
    undisturbed: Cycle, model: Path, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The update scores no rows and asks the live version only about what is new."""
    # As the driver: on some processors another number of threads gives other bits.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    asked: list[str] = []

    async def scenario() -> None:
        home = Home(tmp_path / "home")
        with home.lock(), Store.open(home, HashEmbedder()) as store:
            runtime, fake = build_runtime(home, store, model, inbox)
            answer = fake.answer

            def heard(name: str, messages: Any, tools: Any) -> Any:
                asked.append(name)
                return answer(name, messages, tools)

            fake.answer = heard
            await prepare(runtime)
            assert set(asked) == {runtime.live()}
            first, base = len(asked), runtime.live()
            (scored,) = home.path.glob("masks/*/result.json")
            when = scored.stat().st_mtime_ns
            cycle = await run_cycle(runtime, silent)
            await runtime.engine.close()
            learned = store.reports.get_eval(
                outputs(cycle, CycleStage.EVALUATE)["reports"]["learned"]["live"]  # type: ignore[index]
            )
            # Of each suite that was asked ahead, a few answers are asked again.
            again = asked[first:].count(base) - len(learned.outcomes)
            assert 0 < again <= 3 * WATCHED
            assert not (home.cycles / "0001" / "attribute" / "child").exists()
            assert scored.stat().st_mtime_ns == when
            assert outputs(cycle, CycleStage.COMPOSE) == outputs(undisturbed, CycleStage.COMPOSE)

    asyncio.run(scenario())


def test_more_rows_than_the_engine_serves_are_refused_before_any_is_scored(
    model: Path, inbox: Path, tmp_path: Path
) -> None:
    async def scenario() -> None:
        home = Home(tmp_path / "home")
        with home.lock(), Store.open(home, HashEmbedder()) as store:
            runtime, _ = build_runtime(home, store, model, inbox)
            engine = runtime.settings.engine.model_copy(update={"max_lora_rank": 1})
            runtime.settings = runtime.settings.model_copy(update={"engine": engine})
            cycle = await run_cycle(runtime, silent)
            await runtime.engine.close()
            assert cycle.state is CycleState.FAILED
            assert "6 rows per layer" in (cycle.error or "")
            assert not (home.path / "masks").exists()
            assert not (home.cycles / "0001" / "attribute" / "child").exists()

    asyncio.run(scenario())


def test_nothing_new_is_skipped(model: Path, inbox: Path, tmp_path: Path) -> None:
    """A second cycle over the same folder trains nothing."""
    home = tmp_path / "home"
    first, second = (drive(home, model, inbox) for _ in range(2))
    assert first.returncode == 0, first.stderr
    cycle = Cycle.model_validate_json(second.stdout.splitlines()[-1])
    assert (cycle.number, cycle.state) == (2, CycleState.SKIPPED)
