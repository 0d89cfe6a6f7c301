"""Which GPUs engines and training see, without any: what counts is their children's environment."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from fake_runtime import fake_runtime, settings_of

from adapt.cycle_context import Context
from adapt.events import silent
from adapt.fleets import engines_of
from agent.config import EngineSettings
from agent.serve import EngineProcess
from agent.serve_command import Command
from agent.serve_supervisor import Supervisor
from store import Home
from store.records import CycleStage


def test_engines_take_the_cards_in_turn(tmp_path: Path) -> None:
    """Three engines on two cards; without cards each sees what this process sees."""

    async def cards(**given: Any) -> list[str]:
        settings = settings_of(tmp_path / "home", fleet__engines=3, **given)
        async with fake_runtime(settings) as runtime:
            made = engines_of(settings, Home(tmp_path / "other"), runtime.swap, tmp_path)
            return [s.process.card for s in made.supervisors if isinstance(s, Supervisor)]

    assert asyncio.run(cards(fleet__cards=("0", "GPU-7"))) == ["0", "GPU-7", "0"]
    assert asyncio.run(cards()) == ["", "", ""]


@pytest.mark.parametrize(("card", "seen"), [("1", "1"), ("", "0,1")])
def test_an_engine_sees_its_card_alone(
    card: str, seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    command = Command(("sh", "-c", 'echo "sees $CUDA_VISIBLE_DEVICES"; sleep 60'), {})
    process = EngineProcess(
        "a/model", served_name="base", run_dir=tmp_path / "run", log=tmp_path / "log",
        settings=EngineSettings(), command=lambda _: command, card=card,
    )  # fmt: skip
    process.start()
    try:
        deadline = time.monotonic() + 30
        while not (tmp_path / "log").read_text().strip():
            assert time.monotonic() < deadline and process.alive()
            time.sleep(0.02)
    finally:
        process.stop()
    assert (tmp_path / "log").read_text().splitlines()[0] == f"sees {seen}"


@pytest.mark.parametrize(("cards", "seen"), [("1", "1"), (None, "0,1")])
def test_training_sees_its_cards(
    cards: str | None, seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("PYTHONPATH", os.fspath(Path(__file__).parent))

    async def work() -> Any:
        async with fake_runtime(settings_of(tmp_path / "home", update__cards=cards)) as runtime:
            context = Context(runtime, 1, CycleStage.IMPLANT, silent)
            return await context.child("stage_functions:cards", {})

    assert asyncio.run(work()) == {"cards": seen}
