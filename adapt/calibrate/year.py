"""A year of nightly updates, judged at the levels that adapt.spending gives them.

Asks no model. Called by adapt.calibrate.report.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adapt.calibrate.scenarios import SIZES, Scenario
from adapt.calibrate.simulate import paired_of
from adapt.gate import overall
from adapt.gate_suite import Paired, at_level, judge_suite
from adapt.spending import level_of
from agent.config_sections import GateSettings
from store.evidence import SuiteTest, Verdict

NIGHTS = 365


@dataclass(frozen=True)
class Year:
    """Means over the simulated years."""

    mix: str
    promoted: float
    """Updates promoted in a year."""
    false: float
    """False ones among them, in a year."""
    false_share: float
    """Mean share of the promoted updates that were false (0 in a year without promotions)."""
    good_promoted: float
    """Share of the good updates that were promoted."""
    least_level: float
    """Smallest level that a night had."""


def simulate_years(
    name: str,
    mix: Sequence[tuple[Scenario, float]],
    good: frozenset[str],
    settings: GateSettings,
    years: int,
    seed: int = 0,
    sizes: Mapping[str, int] = SIZES,
    progress: Callable[[int], None] | None = None,
) -> Year:
    """Years in which each night's update is drawn from `mix`, (scenario, share). `good` names the
    scenarios whose promotion is right."""
    rng = np.random.default_rng(seed)
    nights = _Nights([each for each, _ in mix], settings, sizes)
    shares = np.array([share for _, share in mix])
    counts = {"promoted": 0, "false": 0, "good": 0, "good_promoted": 0}
    false_shares: list[float] = []
    least = 1.0
    for year in range(years):
        promoted: list[bool] = []
        false = 0
        for which in rng.choice(len(shares), size=NIGHTS, p=shares / shares.sum()):
            level = level_of(promoted, settings.alpha)
            least = min(least, level)
            went = nights.promoted(int(which), level, rng)
            right = nights.scenarios[which].name in good
            promoted.append(went)
            false += went and not right
            counts["good"] += right
            counts["good_promoted"] += went and right
        counts["promoted"] += sum(promoted)
        counts["false"] += false
        false_shares.append(false / max(sum(promoted), 1))
        if progress:
            progress(year + 1)
    return Year(
        mix=name,
        promoted=counts["promoted"] / years,
        false=counts["false"] / years,
        false_share=float(np.mean(false_shares)),
        good_promoted=counts["good_promoted"] / max(counts["good"], 1),
        least_level=least,
    )


class _Nights:
    """Updates drawn one at a time; the test of a suite is kept, as only its level changes."""

    def __init__(
        self, scenarios: list[Scenario], settings: GateSettings, sizes: Mapping[str, int]
    ) -> None:
        self.scenarios = scenarios
        self._settings = settings
        self._sizes = sizes
        self._tests: dict[tuple[str, int, int], tuple[Paired, SuiteTest]] = {}

    def promoted(self, which: int, level: float, rng: np.random.Generator) -> bool:
        """Whether one draw of that scenario is promoted at that level."""
        tests: list[SuiteTest] = []
        for suite, n in self._sizes.items():
            effect = self.scenarios[which].of(suite)
            won, lost, _ = rng.multinomial(n, [*effect, 1.0 - sum(effect)])
            tests.append(self._test(suite, int(won), int(lost), n, level))
        return overall(tests, ())[0] is Verdict.PROMOTE

    def _test(self, suite: str, won: int, lost: int, n: int, level: float) -> SuiteTest:
        key = (suite, won, lost)
        if key not in self._tests:
            paired = paired_of(((won, lost, n - won - lost),))
            self._tests[key] = paired, judge_suite(suite, paired, self._settings)
        paired, test = self._tests[key]
        return at_level(test, paired, self._settings, level)
