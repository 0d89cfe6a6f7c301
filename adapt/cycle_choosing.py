"""Which lambda a candidate gets: several are loaded side by side and race in one engine.

The examples asked are for nothing else: whoever chose by the gate's own would make the gate believe
too much. Called by adapt.cycle_learning and adapt.commands.sweep.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from adapt.cycle_context import Context
from adapt.evals.items import Suite
from adapt.evals.runner import CONCURRENCY, run_suite
from adapt.evals.suites import choosing_suite
from adapt.standing import Standing
from agent.config import Settings, UpdateSettings
from agent.fleet import Fleet
from store.errors import EngineError, StageError
from store.files import digest_of_directory

USUAL = 1.0
"""PaST's lambda (arXiv 2601.11258)."""
SCALES = (0.5, USUAL, 1.5)
"""What is tried when the settings name none."""
MOST = 60
"""Items for choosing."""
SPENT = 1.6
"""What a race asks in all, in times of what one candidate alone would be asked."""


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
    examples = runtime.store.examples.of_cycle(context.number, "choose")
    suite = choosing_suite(Standing.of(runtime.store).among(examples), MOST)
    if not suite.items:
        return next(c for c in made if c.scale == USUAL), []
    context.progress(0, len(made) * len(suite.items), "choosing lambda")
    scores = await race(runtime.engine, runtime.settings, made, suite)
    scale = best_scale(scores)
    told = [
        {"scale": s, "score": round(mean(each), 4), "items": len(each)}
        for s, each in scores.items()
    ]
    return next(c for c in made if c.scale == scale), told


async def race(
    engine: Fleet, settings: Settings, made: Sequence[Candidate], suite: Suite
) -> dict[float, list[float]]:
    """Scores by lambda on the first items of the suite: on few for the worst, on more for the best.

    Successive halving (Karnin, Koren and Somekh 2013): each round spends the same on those that are
    left and keeps the better half of them, and the usual lambda, which is what the others have to
    beat. StageError on engine faults.
    """
    async with _loaded(engine, made):
        scores: dict[float, list[float]] = {candidate.scale: [] for candidate in made}
        for part, left in _rounds(suite, made, scores):
            found = await _ask(engine, settings, left, part)
            for scale, each in found.items():
                scores[scale] += each
    return scores


def _rounds(
    suite: Suite, made: Sequence[Candidate], scores: Mapping[float, Sequence[float]]
) -> Iterator[tuple[Suite, list[Candidate]]]:
    """The items of each round and who is asked them; `scores` is read between rounds."""
    left = list(made)
    count = max(1, math.ceil(math.log2(len(left))))
    asked = 0
    for turn in range(count):
        each = math.ceil(SPENT * len(suite.items) / count / len(left))
        part = suite.items[asked : asked + each]
        if not part:
            return
        yield Suite(name=suite.name, items=part), left
        asked += len(part)
        if turn < count - 1:
            left = _better_half(left, scores)


def _better_half(
    left: Sequence[Candidate], scores: Mapping[float, Sequence[float]]
) -> list[Candidate]:
    ranked = sorted(left, key=lambda c: (-mean(scores[c.scale]), c.scale))
    kept = ranked[: max(2, math.ceil(len(left) / 2))]
    usual = [c for c in left if c.scale == USUAL and c not in kept]
    return [*kept[: len(kept) - len(usual)], *usual]


async def ask_all(
    engine: Fleet, settings: Settings, made: Sequence[Candidate], suite: Suite
) -> dict[float, list[float]]:
    """Score of every item for every lambda, all under way at once. StageError on engine faults."""
    async with _loaded(engine, made):
        return await _ask(engine, settings, made, suite)


@asynccontextmanager
async def _loaded(engine: Fleet, made: Sequence[Candidate]) -> AsyncIterator[None]:
    """All candidates in the engine until the block ends."""
    try:
        held = await engine.models()
        for candidate in made:
            if candidate.trial not in held:
                await engine.load_adapter(candidate.trial, candidate.path)
        yield
    finally:
        for candidate in made:
            try:
                await engine.unload_adapter(candidate.trial)
            except EngineError:
                # One that was not loaded, or a dead engine: the cause is on its way up already.
                continue


async def _ask(
    engine: Fleet, settings: Settings, made: Sequence[Candidate], suite: Suite
) -> dict[float, list[float]]:
    each = max(8, CONCURRENCY // len(made))
    reports = await asyncio.gather(
        *[
            run_suite(engine, suite, candidate.trial, settings=settings, concurrency=each)
            for candidate in made
        ]
    )
    faults = [o.error for report in reports for o in report.outcomes if o.error]
    if faults:
        raise StageError(f"the engine failed while lambda was chosen: {faults[0]}", "it resumes")
    return {
        candidate.scale: [outcome.score for outcome in report.outcomes]
        for candidate, report in zip(made, reports, strict=True)
    }


def best_scale(scores: Mapping[float, Sequence[float]]) -> float:
    """The lambda of the highest mean; the usual one unless another is better by more than chance.

    Those that a race left behind are out. More than chance: a mean difference, item by item, that
    is above 0 at the one-sided 5% level. Of equal ones the smaller, which moves less.
    """
    most = max(len(each) for each in scores.values())
    last = {scale: each for scale, each in scores.items() if len(each) == most}
    best = max(sorted(last), key=lambda scale: mean(last[scale]))
    if USUAL not in last or best == USUAL:
        return best
    ahead = [a - b for a, b in zip(last[best], last[USUAL], strict=True)]
    error = stdev(ahead) / len(ahead) ** 0.5 if len(ahead) > 1 else float("inf")
    return best if mean(ahead) > 1.645 * error else USUAL
