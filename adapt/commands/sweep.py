"""`perennial skill sweep`: one update with several lambdas, asked in one engine."""

import asyncio
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group

from adapt.base import skill_vector
from adapt.commands import Options
from adapt.cycle_choosing import Candidate, ask_all, best_scale, candidates_of, parts_of, race
from adapt.evals.items import Suite
from adapt.evals.suites import learned_suite
from adapt.runtime import Runtime, open_runtime
from adapt.show import CycleView, table, wilson
from adapt.skill.vector import read_card
from adapt.stage import run_stage
from store.errors import ConfigError, NotFoundError
from store.records import CycleStage, Version


def sweep(
    options: Options, version: str | None, scales: Sequence[float], vector: Path | None, items: int,
    every: bool,
) -> int:  # fmt: skip
    """Compose the version's rows with the vector at each scale, and ask what its cycle held out.

    The scales race, as in an update, unless `every` item is to be asked of each. Nothing is kept of
    it: the live version stays, and no version is made.
    """
    if not scales or not all(0 <= scale < math.inf for scale in scales):
        raise ConfigError(f"scales {list(scales)}", "give one or more, each 0 or above")
    if len(set(scales)) != len(scales):
        raise ConfigError(f"a scale stands twice in {list(scales)}", "give each once")
    if vector is not None:
        # Before an engine is started for it.
        read_card(vector)
    settings = options.settings(update__skill_vector=vector)
    with CycleView() as view:
        value = asyncio.run(_sweep(settings, version, scales, items, every, view))
    rows = [{**row, "mean": f"{row['mean']:.3f}", "low": f"{row['low']:.3f}",
             "high": f"{row['high']:.3f}"} for row in value["scales"]]  # fmt: skip
    words = (
        f"{value['version']}: an update would choose {value['best']:g} by these; asked in "
        f"{value['seconds']:.1f} s"
    )
    options.put(value, Group(table(rows, *rows[0]), words))
    return 0


async def _sweep(
    settings: Any, name: str | None, scales: Sequence[float], items: int, every: bool,
    view: CycleView,
) -> dict[str, Any]:  # fmt: skip
    async with open_runtime(settings, view.engine) as runtime:
        version = runtime.store.versions.get(name or runtime.live())
        suite = _asked(runtime, version, items)
        with tempfile.TemporaryDirectory(prefix="perennial-sweep-") as folder:
            view.moving(f"composing {version.name} at {len(scales)} scales")
            made = await asyncio.to_thread(_composed, runtime, version, scales, Path(folder))
            view.moving(f"asking {len(made)} candidates of {len(suite.items)} questions")
            began = time.monotonic()
            asking = ask_all if every else race
            scores = await asking(runtime.engine, settings, made, suite)
            seconds = time.monotonic() - began
    rows = []
    for scale, each in scores.items():
        low, high = wilson(sum(each), len(each))
        rows.append({"scale": scale, "mean": sum(each) / len(each), "low": low, "high": high,
                     "items": len(each)})  # fmt: skip
    return {
        "version": version.name, "scales": rows, "best": best_scale(scores),
        "seconds": round(seconds, 2),
    }  # fmt: skip


def _asked(runtime: Runtime, version: Version, items: int) -> Suite:
    """What the cycle that made the version held out. NotFoundError when there is nothing."""
    for cycle in runtime.store.cycles.list():
        made = cycle.gave(CycleStage.COMPOSE)
        if made and made["version"] == version.name:
            suite = learned_suite(runtime.store.examples.of_cycle(cycle.number, "held_out"), items)
            if suite.items:
                return suite
    raise NotFoundError(
        f"no cycle held anything out for {version.name}",
        "name a version that an update made, or run perennial update first",
    )


def _composed(
    runtime: Runtime, version: Version, scales: Sequence[float], folder: Path
) -> list[Candidate]:
    vector = skill_vector(runtime.settings.update, runtime.base)
    if vector is None:
        raise NotFoundError(
            "this model brings no skill vector",
            "give --vector, or train one: perennial skill train",
        )
    runtime.skill_vector(vector)
    assert version.update is not None, "a cycle's version has its update"
    request = {
        "model_dir": str(runtime.base.path),
        "candidates": parts_of(runtime.store.artifacts.path(version.update), vector, scales),
        "questions": ["What is 12 plus 7?"],
    }
    result = run_stage("adapt.stages:compose_stage", request, folder)
    return candidates_of(result, scales)
