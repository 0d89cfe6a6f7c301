"""Everything that `perennial gate calibrate` finds out, as one JSON-able value.

Called by adapt.commands.gates.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from adapt.calibrate.recorded import Recorded
from adapt.calibrate.scenarios import SIZES, Effect, Scenario, scenario, usual
from adapt.calibrate.sequential import Claim, harm_items, items_used, smallest
from adapt.calibrate.simulate import Judge, simulate
from adapt.calibrate.year import simulate_years
from adapt.spending import level_of
from agent.config_sections import GateSettings

Say = Callable[[str], None]
FEW = 2000
"""Most runs of what is searched over or drawn in a curve."""


def calibrate(
    settings: GateSettings, runs: int, years: int, seed: int, say: Say,
    recorded: Recorded | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Rates by scenario, items used, a year of nights, and the operating curve."""
    found: dict[str, Any] = {
        "alpha": settings.alpha,
        "margin": settings.margin,
        "runs": runs,
        "seed": seed,
        "items": dict(SIZES),
        "rates": rates(usual(settings), settings, runs, seed, say),
    }
    if recorded:
        scenarios, sizes = recorded
        found["recorded_items"] = sizes
        found["recorded"] = rates(scenarios, settings, runs, seed, say, sizes)
    found["items_used"] = stopping(settings, min(runs, FEW), say)
    found["years"] = nights(settings, years, seed, say)
    found["curve"] = curve(settings, min(runs, FEW), seed, say)
    found["summary"] = summary(found)
    return found


def rates(
    scenarios: Sequence[Scenario], settings: GateSettings, runs: int, seed: int, say: Say,
    sizes: Mapping[str, int] = SIZES,
) -> list[dict[str, Any]]:  # fmt: skip
    """A row per scenario, at the whole of alpha (the most a night can have) and at the level of a
    home's first update."""
    whole = Judge(settings, settings.alpha)
    first = Judge(settings, level_of([], settings.alpha))
    rows: list[dict[str, Any]] = []
    for place, each in enumerate(scenarios, 1):
        head = f"{each.name} ({place} of {len(scenarios)})"

        def moved(done: int, head: str = head) -> None:
            say(f"{head}: {done} of {runs} updates judged")

        given = {"runs": runs, "seed": seed, "sizes": sizes, "progress": moved}
        row = asdict(simulate(each, settings, judge=whole, **given))
        row["promoted_first"] = simulate(each, settings, judge=first, **given).promoted
        rows.append(row)
    return rows


def stopping(settings: GateSettings, runs: int, say: Say) -> list[dict[str, Any]]:
    """Items used until a decision on clear cases, beside the fixed test of the same power."""
    gain = Claim("learned: better", settings.min_gain, Effect(0.12, 0.02))
    safe = Claim(
        f"kept: no more than {settings.margin:g} lost", -settings.margin, Effect(0.01, 0.01)
    )
    rows: list[dict[str, Any]] = []
    for claim in (gain, safe):
        say(f"{claim.name}: how many items a test of power 0.8 needs")
        fixed = smallest(claim, settings.alpha, runs, sequential=False)
        planned = smallest(claim, settings.alpha, runs, sequential=True)
        cases = (
            {"gain of 0.30": Effect(0.32, 0.02), "gain of 0.60": Effect(0.62, 0.02)}
            if claim is gain
            else {"loss of 0.30": Effect(0.01, 0.31), "loss of 0.50": Effect(0.01, 0.51)}
        )
        for name, effect in cases.items():
            if claim is gain:
                stops = items_used(claim, effect, planned, settings.alpha, runs)
            else:
                stops = harm_items(effect, claim.bound, planned, settings.alpha, runs)
            rows.append({
                "claim": claim.name, "case": name, "fixed": fixed, "planned": planned,
                "mean": stops.mean, "decided": stops.decided, "ratio": stops.mean / fixed,
            })  # fmt: skip
    return rows


def nights(settings: GateSettings, years: int, seed: int, say: Say) -> list[dict[str, Any]]:
    """Years of nightly updates that are mostly good, half bad, and all bad."""
    good = scenario("good", "helpful", 0.6, 0.01)
    idle = scenario("idle", "no change", 0.0, 0.02)
    harm = scenario("harm", "harmful", 0.6, 0.01, {"kept": settings.margin})
    mixes = {
        "80% good, 10% teach nothing, 10% lose the margin": [(good, 0.8), (idle, 0.1), (harm, 0.1)],
        "40% good, 30% teach nothing, 30% lose the margin": [(good, 0.4), (idle, 0.3), (harm, 0.3)],
        "none good, half teach nothing, half lose the margin": [(idle, 0.5), (harm, 0.5)],
    }
    rows: list[dict[str, Any]] = []
    for name, mix in mixes.items():

        def moved(done: int, name: str = name) -> None:
            say(f"{name}: {done} of {years} years")

        found = simulate_years(
            name, mix, frozenset({"good"}), settings, years, seed, progress=moved
        )
        rows.append(asdict(found))
    return rows


def curve(settings: GateSettings, runs: int, seed: int, say: Say) -> dict[str, list[list[float]]]:
    """Share of updates promoted by what they truly lose on one suite, or gain on what is new:
    points (size, share) by line. All else is as it was, with 1% churn."""
    lines: dict[str, list[list[float]]] = {}
    judge = Judge(settings, settings.alpha)
    losses = [round(i * settings.margin / 6, 4) for i in range(16)]
    for suite in ("kept", "tools", "general"):
        say(f"operating curve: {suite}")
        lines[f"{suite} lost"] = [
            [x, simulate(scenario(f"{suite} {x}", "", 0.6, 0.01, {suite: x}), settings, runs,
                         seed=seed, judge=judge).promoted]
            for x in losses
        ]  # fmt: skip
    say("operating curve: learned")
    lines["learned gained"] = [
        [x, simulate(scenario(f"learned {x}", "", x, 0.01), settings, runs, seed=seed,
                     judge=judge).promoted]
        for x in [round(i * 0.01, 3) for i in range(16)]
    ]  # fmt: skip
    return lines


def summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that the gate promises, each the worst of its kind."""
    by: dict[str, list[Mapping[str, Any]]] = {}
    for row in [*found["rates"], *found.get("recorded", ())]:
        by.setdefault(row["kind"], []).append(row)
    return {
        "false_promotion_no_change": max(r["promoted"] for r in by["no change"]),
        "false_promotion_at_margin": max(r["promoted"] for r in by["at margin"]),
        "harm_missed": max(r["promoted"] for r in by["harmful"]),
        "power_ten_points": min(r["promoted"] for r in by["ten points"]),
        "power_ten_points_first_night": min(r["promoted_first"] for r in by["ten points"]),
        "early_stopping_items": max(r["ratio"] for r in found["items_used"]),
        "false_share_of_a_year": max(r["false_share"] for r in found["years"]),
    }
