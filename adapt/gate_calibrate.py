"""How often the gate errs: simulated updates of known effect, judged by the gate's own rules.

`python -m adapt.gate_calibrate` prints the tables of docs/gate.md. It asks no model and reads no
store. Called by hand and by `perennial gate calibrate`.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from adapt.cycle_suites import GENERAL, KEPT, LEARNED, TOOLS
from adapt.gate import Paired, judge_suite, overall
from agent.config_sections import GateSettings
from store.records import SuiteTest, Verdict

SIZES = {"learned": LEARNED, "kept": KEPT, "tools": TOOLS, "general": GENERAL}
"""Items per suite of a cycle."""


class Effect(NamedTuple):
    """Shares of a suite's items that an update wins and loses; the rest tie."""

    won: float
    lost: float


@dataclass(frozen=True)
class Scenario:
    """An update of known effect. Suites that are not named in `effects` have `churn` both ways."""

    name: str
    effects: Mapping[str, Effect]
    churn: float
    """Share of items that change for better, and as many for worse, by chance."""

    def effect(self, suite: str) -> Effect:
        """What the update does to a suite."""
        return self.effects.get(suite, Effect(self.churn, self.churn))


@dataclass(frozen=True)
class Rates:
    """Shares of the simulated updates by verdict."""

    scenario: str
    promoted: float
    rejected: float
    abstained: float


def _harm(name: str, churn: float, **drops: float) -> Scenario:
    """An update that teaches much and loses `drops` of the named suites."""
    lost = {suite: Effect(churn, churn + drop) for suite, drop in drops.items()}
    return Scenario(name, {"learned": Effect(0.62, 0.02), **lost}, churn)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("nothing changes", {}, 0.0),
    Scenario("nothing learned, 2% churn", {}, 0.02),
    Scenario("nothing learned, 5% churn", {}, 0.05),
    Scenario("learned +0.10, 1% churn", {"learned": Effect(0.12, 0.02)}, 0.01),
    _harm("learned +0.60, no churn", 0.0),
    _harm("learned +0.60, 1% churn", 0.01),
    _harm("learned +0.60, 2% churn", 0.02),
    _harm("learned +0.60, 5% churn", 0.05),
    _harm("learned +0.60, kept -0.03", 0.01, kept=0.03),
    _harm("learned +0.60, kept -0.05", 0.01, kept=0.05),
    _harm("learned +0.60, kept -0.10", 0.01, kept=0.10),
    _harm("learned +0.60, kept -0.20", 0.01, kept=0.20),
    _harm("learned +0.60, all others -0.03", 0.01, kept=0.03, tools=0.03, general=0.03),
    _harm("learned +0.60, all others -0.05", 0.01, kept=0.05, tools=0.05, general=0.05),
    _harm("learned +0.60, all others -0.10", 0.01, kept=0.10, tools=0.10, general=0.10),
)


def simulate(
    scenario: Scenario,
    settings: GateSettings,
    runs: int,
    seed: int = 0,
    sizes: Mapping[str, int] = SIZES,
) -> Rates:
    """Judge `runs` draws of an update's answers on suites of these sizes."""
    rng = np.random.default_rng(seed)
    draws = {
        suite: rng.multinomial(n, _chances(scenario.effect(suite)), size=runs)
        for suite, n in sizes.items()
    }
    judge = _Judge(settings)
    verdicts: list[Verdict] = []
    for run in range(runs):
        tests: list[SuiteTest] = []
        for suite, counts in draws.items():
            won, lost, tied = (int(c) for c in counts[run])
            tests.append(judge.test(suite, won, lost, tied))
        verdicts.append(overall(tests, ())[0])
    share = {v: verdicts.count(v) / runs for v in Verdict}
    return Rates(
        scenario.name, share[Verdict.PROMOTE], share[Verdict.REJECT], share[Verdict.ABSTAIN]
    )


def proof_rates(
    settings: GateSettings, items: Sequence[int], churns: Sequence[float], runs: int, seed: int = 0
) -> dict[float, list[float]]:
    """By churn, for each number of items: how often non-inferiority is proven outright (an e-value
    of 1/alpha) when nothing is lost on average."""
    rng = np.random.default_rng(seed)
    judge = _Judge(settings)
    found: dict[float, list[float]] = {}
    for churn in churns:
        for n in items:
            counts = rng.multinomial(n, _chances(Effect(churn, churn)), size=runs)
            tests = [judge.test("kept", *(int(c) for c in row)) for row in counts]
            proven = sum(t.e_value >= 1.0 / settings.alpha for t in tests) / runs
            found.setdefault(churn, []).append(proven)
    return found


def _chances(effect: Effect) -> list[float]:
    return [effect.won, effect.lost, 1.0 - effect.won - effect.lost]


class _Judge:
    """The gate's test of a suite by counts: its verdict depends on nothing else, and most draws of
    an update repeat earlier counts."""

    def __init__(self, settings: GateSettings) -> None:
        self._settings = settings
        self._known: dict[tuple[str, int, int, int], SuiteTest] = {}

    def test(self, suite: str, won: int, lost: int, tied: int) -> SuiteTest:
        """The test of a suite with these counts."""
        key = (suite, won, lost, tied)
        if key not in self._known:
            live = np.repeat([0.0, 1.0, 1.0], [won, lost, tied])
            candidate = np.repeat([1.0, 0.0, 1.0], [won, lost, tied])
            self._known[key] = judge_suite(suite, Paired(live, candidate), self._settings)
        return self._known[key]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m adapt.gate_calibrate", description=__doc__)
    parser.add_argument("--runs", type=int, default=2000, help="simulated updates per row")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    settings = GateSettings()
    say = sys.stdout.write
    say("| update | promoted | rejected | abstained |\n|---|---|---|---|\n")
    for scenario in SCENARIOS:
        r = simulate(scenario, settings, given.runs, given.seed)
        say(f"| {r.scenario} | {r.promoted:.3f} | {r.rejected:.3f} | {r.abstained:.3f} |\n")
    items = (100, 120, 150, 200, 400, 800, 1600)
    say("\n| churn | " + " | ".join(map(str, items)) + " |\n|---" + "|---" * len(items) + "|\n")
    for churn, rates in proof_rates(
        settings, items, (0.0, 0.005, 0.01, 0.02, 0.05), given.runs, given.seed
    ).items():
        say(f"| {churn:.1%} | " + " | ".join(f"{r:.2f}" for r in rates) + " |\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
