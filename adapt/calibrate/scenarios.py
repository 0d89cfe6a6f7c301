"""Updates of known effect: what they win and lose, by suite and slice.

Parametric ones, and those drawn from the recorded answers of two versions. No verdicts here.
Called by adapt.calibrate.simulate.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from adapt.cycle_suites import GENERAL, KEPT, LEARNED, TOOLS
from agent.config_sections import GateSettings

SIZES = {"learned": LEARNED, "kept": KEPT, "tools": TOOLS, "general": GENERAL}
"""Items per suite of a cycle."""
PARTS = 8
"""Slices of equal size in every suite of what was known."""


class Effect(NamedTuple):
    """Shares of items that an update wins and loses; the rest tie."""

    won: float
    lost: float

    def plus(self, lost: float) -> "Effect":
        """The same, and a further share lost."""
        return Effect(self.won, self.lost + lost)


@dataclass(frozen=True)
class Scenario:
    """An update of known effect."""

    name: str
    kind: str
    """What it is: `no change`, `helpful`, `ten points` (gained), `at margin` (just that is lost),
    `harmful` (more) or `slice` (one breaks). Only the second and third ought to be promoted."""
    effects: Mapping[str, Effect]
    """By suite."""
    broken: Mapping[str, Effect] = field(default_factory=dict)
    """By suite: the effect on its first slice, where that differs."""

    def of(self, suite: str, part: int = 0) -> Effect:
        """What the update does to the items of one slice of a suite."""
        broken = self.broken.get(suite)
        return broken if broken is not None and part == 0 else self.effects[suite]


def scenario(
    name: str, kind: str, gain: float, churn: float, drops: Mapping[str, float] | None = None,
    broken: Mapping[str, float] | None = None,
) -> Scenario:  # fmt: skip
    """An update that changes a share `churn` of all items for better and as many for worse by
    chance, gains `gain` on what is new, loses `drops` on the named suites, and `broken` on one
    slice of them."""
    same = Effect(churn, churn)
    effects = {suite: same.plus((drops or {}).get(suite, 0.0)) for suite in SIZES}
    effects["learned"] = Effect(gain + churn, churn)
    slices = {suite: same.plus(drop) for suite, drop in (broken or {}).items()}
    return Scenario(name, kind, effects, slices)


def usual(settings: GateSettings) -> list[Scenario]:
    """The updates that docs/gate.md tells of. Harmful ones lose exactly the margin, or more."""
    m = settings.margin
    others = ("kept", "tools", "general")
    found = [
        scenario("nothing changes", "no change", 0.0, 0.0),
        scenario("nothing learned, 2% churn", "no change", 0.0, 0.02),
        scenario("nothing learned, 5% churn", "no change", 0.0, 0.05),
        scenario("learned +0.10, 1% churn", "ten points", 0.10, 0.01),
        scenario("learned +0.10, 2% churn", "ten points", 0.10, 0.02),
        scenario("learned +0.60, 1% churn", "helpful", 0.60, 0.01),
        scenario("learned +0.60, 2% churn", "helpful", 0.60, 0.02),
        scenario("learned +0.60, 5% churn", "helpful", 0.60, 0.05),
        *(
            scenario(
                f"learned +0.60, all others -{drop:g}",
                "helpful",
                0.60,
                0.01,
                dict.fromkeys(others, drop),
            )
            for drop in (0.01, 0.02)
        ),
    ]
    for suite in others:
        found.append(scenario(f"{suite} -{m:g} (margin)", "at margin", 0.60, 0.01, {suite: m}))
    found += [
        scenario("kept -0.10", "harmful", 0.60, 0.01, {"kept": 0.10}),
        scenario("kept -0.20", "harmful", 0.60, 0.01, {"kept": 0.20}),
        scenario(f"all others -{m:g} (margin)", "at margin", 0.60, 0.01, dict.fromkeys(others, m)),
        scenario("one slice of tools -0.30", "slice", 0.60, 0.01, broken={"tools": 0.30}),
        scenario("one slice of tools -0.50", "slice", 0.60, 0.01, broken={"tools": 0.50}),
        scenario("one slice of general -0.50", "slice", 0.60, 0.01, broken={"general": 0.50}),
    ]
    return found
