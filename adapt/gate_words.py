"""The gate's verdict for a reader in a hurry: what was learned, kept and lost, and how surely.

It also says what would have changed the verdict. Pure. Called by adapt.gate, which
keeps the lines in its report.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from adapt.gate_suite import LEARNED, Paired, evidence, judge_suite
from agent.config_sections import GateSettings
from store.evidence import SuiteTest, Verdict

_HEAD = {
    Verdict.PROMOTE: "Promoted: every claim is proven.",
    Verdict.REJECT: "Rejected: it does harm, or teaches nothing.",
    Verdict.ABSTAIN: "Not promoted: the evidence is not enough.",
}


def summary(
    tests: Sequence[SuiteTest],
    paired: Mapping[str, Paired],
    verdict: Verdict,
    faults: Sequence[str],
    settings: GateSettings,
) -> tuple[str, ...]:
    """A few lines that can be read in ten seconds."""
    if faults:
        return ("Not promoted: nothing can be concluded.", *faults)
    lines = [_HEAD[verdict]]
    learned = [t for t in tests if t.suite == LEARNED]
    others = [t for t in tests if t.suite != LEARNED]
    lines += [f"Learned: {_change(t)}." for t in learned] or ["Learned: nothing new was asked."]
    kept = [t for t in others if t.verdict is Verdict.PROMOTE]
    lost = [t for t in others if t.verdict is not Verdict.PROMOTE]
    if kept:
        lines.append("Kept: " + "; ".join(f"{t.suite} {_change(t)}" for t in kept) + ".")
    if lost:
        lines.append("Not shown to be kept: " + "; ".join(map(_lost, lost)) + ".")
    if tests:
        weakest = max(tests, key=_doubt)
        lines.append(
            f"How sure: the weakest claim is that of {weakest.suite} ({evidence(weakest)})."
        )
    changed = [
        words
        for t in tests
        if (verdict is Verdict.PROMOTE or t.verdict is not Verdict.PROMOTE)
        and (words := what_would_change(t, paired[t.suite], settings))
    ]
    if verdict is Verdict.PROMOTE:
        changed = sorted(changed, key=lambda w: w[0])[:1]
    if changed:
        lines.append("What would have changed it: " + ", and ".join(w for _, w in changed) + ".")
    return tuple(lines)


def what_would_change(
    test: SuiteTest, paired: Paired, settings: GateSettings
) -> tuple[int, str] | None:
    """The smallest number of items that would turn a suite's verdict to or from promote, in words.

    None where scores are graded, items are too few, or no number of items would.
    """
    counts = paired.counts
    if counts is None or test.items < settings.min_items:
        return None
    won, lost = counts
    tied = test.items - won - lost
    own = test.margin if test.kind == "non_inferiority" else None

    def passes(won: int, lost: int) -> bool:
        live = np.repeat([0.0, 1.0, 1.0], [won, lost, test.items - won - lost])
        candidate = np.repeat([1.0, 0.0, 1.0], [won, lost, test.items - won - lost])
        again = Paired(live, candidate, planned=test.planned)
        found = judge_suite(test.suite, again, settings, test.level, own)
        return found.verdict is Verdict.PROMOTE

    if test.verdict is Verdict.PROMOTE:
        found = _first(tied, lambda k: not passes(won, lost + k))
        return None if found is None else (found, f"{_more(found)} lost on {test.suite}")
    if test.slices:
        return None
    better = _first(lost + tied, lambda k: passes(won + max(k - lost, 0), max(lost - k, 0)))
    return None if better is None else (better, f"{_more(better)} right on {test.suite}")


def _first(most: int, holds: Callable[[int], bool]) -> int | None:
    """The smallest k of 1 to `most` for which a condition holds that stays once it does."""
    low, high = 1, most
    if most < 1 or not holds(most):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _change(test: SuiteTest) -> str:
    low, high = test.interval
    return (
        f"{test.live:.3f} to {test.candidate:.3f} of {test.items} items "
        f"({test.difference:+.3f}, {low:+.3f} to {high:+.3f})"
    )


def _lost(test: SuiteTest) -> str:
    broken = ", ".join(s.slice for s in test.slices)
    return f"{test.suite} {_change(test)}" + (f", which broke on {broken}" if broken else "")


def _doubt(test: SuiteTest) -> float:
    """How far a claim is from proof: p or 1/e over what is needed."""
    least = min(1.0, 1.0 / max(test.e_value, 1e-300))
    return (least if test.p_value is None else min(test.p_value, least)) / test.level


def _more(count: int) -> str:
    return "1 more item" if count == 1 else f"{count} more items"
