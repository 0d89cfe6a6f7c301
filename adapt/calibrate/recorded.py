"""Updates with the effect that two versions' recorded answers show: wins and losses by suite.

Reads reports, draws nothing. Called by adapt.calibrate.report.
"""

import numpy as np

from adapt.calibrate.scenarios import Effect, Scenario
from adapt.gate import pair_up
from agent.config_sections import GateSettings
from store.errors import NotFoundError
from store.evidence import EvalReport
from store.store import Store

Recorded = tuple[list[Scenario], dict[str, int]]
"""Updates, and the items of their suites."""


def recorded(store: Store, settings: GateSettings) -> Recorded:
    """The newest judged candidate as it was; with its changes but no gain or loss; and with the
    margin lost on one suite. NotFoundError where nothing was judged yet."""
    gates = [g for g in store.reports.gates() if g.tested]
    if not gates:
        raise NotFoundError("no candidate was judged in this home yet", "perennial update")
    gate = gates[-1]
    found = [store.reports.get_eval(digest) for digest in gate.reports]
    effects: dict[str, Effect] = {}
    sizes: dict[str, int] = {}
    for name in dict.fromkeys(report.suite for report in found):
        pair = _pair(found, name, gate.live, gate.candidate)
        d = pair_up(*pair).d
        effects[name] = Effect(float(np.mean(d > 0)), float(np.mean(d < 0)))
        sizes[name] = len(d)
    even = {name: Effect((e.won + e.lost) / 2, (e.won + e.lost) / 2) for name, e in effects.items()}
    label = f"{gate.candidate} against {gate.live}"
    scenarios = [
        Scenario(f"{label}, as recorded", "helpful", effects),
        Scenario(f"{label}, its changes without gain or loss", "no change", even),
    ]
    for name in effects:
        if name != "learned":
            margin = settings.margins.get(name, settings.margin)
            lost = {**even, "learned": effects["learned"], name: even[name].plus(margin)}
            scenarios.append(Scenario(f"{label}, {name} -{margin:g} (margin)", "at margin", lost))
    return scenarios, sizes


def _pair(
    reports: list[EvalReport], suite: str, live: str, candidate: str
) -> tuple[EvalReport, EvalReport]:
    by = {r.version: r for r in reports if r.suite == suite}
    return by[live], by[candidate]
