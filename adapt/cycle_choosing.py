"""Which lambda a candidate gets: several are loaded side by side and asked in one batch.

The examples asked are for nothing else: whoever chose by the gate's own would make the gate believe
too much. Called by adapt.cycle_learning and adapt.commands.sweep.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from adapt.cycle_context import Context
from adapt.evals.items import Suite
from adapt.evals.runner import CONCURRENCY, run_suite
from adapt.evals.suites import choosing_suite
from agent.config import Settings, UpdateSettings
from agent.engine import Engine
from store.errors import EngineError, StageError
from store.files import digest_of_directory

USUAL = 1.0
"""PaST's lambda (arXiv 2601.11258)."""
SCALES = (0.5, USUAL, 1.5)
"""What is tried when the settings name none."""
MOST = 60
"""Items that each is asked."""


@dataclass(frozen=True)
class Candidate:
    """One adapter of several that differ in lambda."""

    scale: float
    digest: str
    """Of its directory."""
    path: Path
    probe: dict[str, Any]

    @property
    def trial(self) -> str:
        """Its name in the engine while it is tried. By its bytes: names are never used again."""
        return f"trial-{self.digest[:16]}"


def scales_of(update: UpdateSettings) -> tuple[float, ...]:
    """The lambdas of an update: the one that is set, or several."""
    return SCALES if update.skill_scale is None else (update.skill_scale,)


def parts_of(
    rows: Path, vector: Path | None, scales: Sequence[float]
) -> list[list[dict[str, Any]]]:
    """For each lambda, what the compose stage joins: an update's rows, and the vector so strong."""
    alone = {"path": str(rows), "scale": 1.0}
    return [
        [alone, {"path": str(vector), "scale": scale}] if vector and scale > 0 else [alone]
        for scale in scales
    ]


def candidates_of(result: dict[str, Any], scales: Sequence[float]) -> list[Candidate]:
    """What the compose stage made of `parts_of`, in its folder: only the chosen is kept."""
    return [
        Candidate(scale, digest_of_directory(Path(each["path"])), Path(each["path"]), each["probe"])
        for scale, each in zip(scales, result["candidates"], strict=True)
    ]


async def choose(
    context: Context, made: Sequence[Candidate]
) -> tuple[Candidate, list[dict[str, Any]]]:
    """The candidate that answers best, and what each scored. A single one is not asked."""
    if len(made) == 1:
        return made[0], []
    runtime = context.runtime
    suite = choosing_suite(runtime.store.examples.of_cycle(context.number, "choose"), MOST)
    if not suite.items:
        return next(c for c in made if c.scale == USUAL), []
    context.progress(0, len(made) * len(suite.items), "choosing lambda")
    scores = await ask_all(runtime.engine, runtime.settings, made, suite)
    scale = best_scale(scores)
    told = [
        {"scale": s, "score": round(mean(each), 4), "items": len(each)}
        for s, each in scores.items()
    ]
    return next(c for c in made if c.scale == scale), told


async def ask_all(
    engine: Engine, settings: Settings, made: Sequence[Candidate], suite: Suite
) -> dict[float, list[float]]:
    """Score of every item for every lambda, all under way at once. StageError on engine faults."""
    try:
        held = await engine.models()
        for candidate in made:
            if candidate.trial not in held:
                await engine.load_adapter(candidate.trial, candidate.path)
        each = max(8, CONCURRENCY // len(made))
        reports = await asyncio.gather(
            *[
                run_suite(engine, suite, candidate.trial, settings=settings, concurrency=each)
                for candidate in made
            ]
        )
    finally:
        for candidate in made:
            try:
                await engine.unload_adapter(candidate.trial)
            except EngineError:
                # One that was not loaded, or a dead engine: the cause is on its way up already.
                continue
    faults = [o.error for report in reports for o in report.outcomes if o.error]
    if faults:
        raise StageError(f"the engine failed while lambda was chosen: {faults[0]}", "it resumes")
    return {
        candidate.scale: [outcome.score for outcome in report.outcomes]
        for candidate, report in zip(made, reports, strict=True)
    }


def best_scale(scores: Mapping[float, Sequence[float]]) -> float:
    """The lambda of the highest mean; the usual one unless another is better by more than chance.

    More than chance: a mean difference, item by item, that is above 0 at the one-sided 5% level.
    Of equal ones the smaller, which moves less.
    """
    best = max(sorted(scores), key=lambda scale: mean(scores[scale]))
    if USUAL not in scores or best == USUAL:
        return best
    ahead = [a - b for a, b in zip(scores[best], scores[USUAL], strict=True)]
    error = stdev(ahead) / len(ahead) ** 0.5 if len(ahead) > 1 else float("inf")
    return best if mean(ahead) > 1.645 * error else USUAL
