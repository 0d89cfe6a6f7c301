"""Draws the answers of updates of known effect and judges them as the gate does.

Counts are drawn, not answers: a verdict depends on nothing else. Asks no model and reads no store.
Called by adapt.calibrate.report.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from adapt.calibrate.scenarios import PARTS, SIZES, Effect, Scenario
from adapt.gate import overall
from adapt.gate_suite import LEARNED, Paired, judge_suite
from agent.config_sections import GateSettings
from store.evidence import SuiteTest, Verdict

Counts = tuple[tuple[int, int, int], ...]
"""(won, lost, tied) by slice."""


@dataclass(frozen=True)
class Rates:
    """Shares of the simulated updates by verdict, and how often a broken slice was named."""

    scenario: str
    kind: str
    promoted: float
    rejected: float
    abstained: float
    named: float | None = None


@dataclass
class Judge:
    """The gate's test of a suite by counts; most draws of an update repeat earlier counts."""

    settings: GateSettings
    level: float
    known: dict[tuple[str, Counts], SuiteTest] = field(default_factory=dict)

    def test(self, suite: str, counts: Counts) -> SuiteTest:
        """The test of a suite with these counts."""
        # The place of a slice tells nothing, but the first may be the one that broke.
        key = (suite, (counts[0], *sorted(counts[1:])))
        if key not in self.known:
            self.known[key] = judge_suite(suite, paired_of(counts), self.settings, self.level)
        return self.known[key]


def paired_of(counts: Counts) -> Paired:
    """Scores with these counts."""
    live = [np.repeat([0.0, 1.0, 1.0], c) for c in counts]
    candidate = [np.repeat([1.0, 0.0, 1.0], c) for c in counts]
    slices = [f"slice {i + 1}" for i, c in enumerate(counts) for _ in range(sum(c))]
    return Paired(
        np.concatenate(live), np.concatenate(candidate), tuple(slices) if len(counts) > 1 else ()
    )


def simulate(
    scenario: Scenario,
    settings: GateSettings,
    runs: int,
    *,
    seed: int = 0,
    level: float | None = None,
    sizes: Mapping[str, int] = SIZES,
    judge: Judge | None = None,
    progress: Callable[[int], None] | None = None,
) -> Rates:
    """Judge `runs` draws of an update on suites of these sizes, each at `level`."""
    judge = judge or Judge(settings, settings.alpha if level is None else level)
    rng = np.random.default_rng(seed)
    draws = {suite: _draw(rng, scenario, suite, n, runs) for suite, n in sizes.items()}
    verdicts: list[Verdict] = []
    named = 0
    for run in range(runs):
        tests = [judge.test(suite, counts[run]) for suite, counts in draws.items()]
        verdicts.append(overall(tests, ())[0])
        named += any(s.slice == "slice 1" for t in tests for s in t.slices)
        if progress and run % 500 == 0:
            progress(run)
    share = {v: verdicts.count(v) / runs for v in Verdict}
    return Rates(
        scenario.name, scenario.kind,
        share[Verdict.PROMOTE], share[Verdict.REJECT], share[Verdict.ABSTAIN],
        named / runs if scenario.broken else None,
    )  # fmt: skip


def _draw(
    rng: np.random.Generator, scenario: Scenario, suite: str, n: int, runs: int
) -> list[Counts]:
    """Counts by slice for every run. Slices are drawn apart only where one of them is broken."""
    parts = PARTS if suite in scenario.broken and suite != LEARNED else 1
    sizes = [n // parts + (i < n % parts) for i in range(parts)]
    drawn = [
        rng.multinomial(size, chances(scenario.of(suite, part)), size=runs).tolist()
        for part, size in enumerate(sizes)
    ]
    return [tuple((c[0], c[1], c[2]) for c in each) for each in zip(*drawn, strict=True)]


def chances(effect: Effect) -> Sequence[float]:
    """Chances of an item to be won, lost and tied."""
    return [effect.won, effect.lost, 1.0 - effect.won - effect.lost]
