"""The gate's test of one suite: what is proven of a candidate's answers against the live ones'.

Pure: arrays in, records out. The statistics are in adapt.eprocess and adapt.exact; the verdict on
a whole candidate is adapt.gate's. Called by adapt.gate and adapt.calibrate.

Per suite, d = candidate - live over the same items, each in [-1, 1]. Claims: `learned` is better
(mean d above `min_gain`); every other suite loses less than its margin (mean d above -margin).
A claim is proven at level a when its e-value has reached 1 / (EARLY a) at any time, or the exact
test over all planned items has p at most (1 - EARLY) a: together the chance of a false proof is at
most a. Scores that are not all right or wrong have no exact test; their e-value must reach 1 / a.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from adapt.eprocess import Floats, e_value_above, e_value_below, interval_95, mcnemar_p
from agent.config_sections import GateSettings
from store.evidence import SliceTest, SuiteTest, Verdict

LEARNED = "learned"
"""The one suite that a candidate must be better at."""
EARLY = 0.2
"""Share of the level that is for stopping early; the rest is for the test at the end."""
ROUNDING = 1e-9
"""Three of a hundred items lost must not count as more than 0.03 for how floats round."""


@dataclass(frozen=True)
class Paired:
    """Scores of both versions on the items that both answered, in order."""

    live: Floats
    candidate: Floats
    slices: tuple[str, ...] = ()
    """Slice of each item; empty where none is known."""
    planned: int = 0
    """Items of the suite; more than there are scores where asking stopped early."""
    fault: str = ""
    """Why nothing may be concluded: an engine fault, or reports that cannot be compared."""
    d: Floats = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "d", self.candidate - self.live)

    @property
    def counts(self) -> tuple[int, int] | None:
        """Items (won, lost), or None where a score is neither right nor wrong."""
        if not np.isin(self.d, (-1.0, 0.0, 1.0)).all():
            return None
        return int((self.d > 0).sum()), int((self.d < 0).sum())


def margin_of(suite: str, settings: GateSettings) -> float:
    """How much a suite may lose; of `learned`, the smallest useful gain."""
    if suite == LEARNED:
        return settings.min_gain
    return settings.margins.get(suite, settings.margin)


def judge_suite(
    name: str,
    paired: Paired,
    settings: GateSettings,
    level: float | None = None,
    margin: float | None = None,
) -> SuiteTest:
    """The test of one suite: superiority for `learned`, non-inferiority for any other.

    `level` is this update's share of the error (adapt.spending), settings.alpha where left out;
    `margin` replaces the settings'.
    """
    level = settings.alpha if level is None else level
    better = name == LEARNED
    margin = margin_of(name, settings) if margin is None else margin
    bound = margin if better else -margin
    d = paired.d
    low, high = interval_95(d)
    test = SuiteTest(
        suite=name,
        kind="superiority" if better else "non_inferiority",
        items=len(d),
        planned=max(paired.planned, len(d)),
        live=_mean(paired.live),
        candidate=_mean(paired.candidate),
        difference=_mean(d),
        interval=(low, high),
        margin=margin,
        level=level,
        e_value=e_value_above(d, bound),
        e_against=e_value_below(d, margin if better else 0.0),
        p_value=_exact_p(paired, bound),
        mcnemar_p=mcnemar_p(d),
        slices=broken_slices(paired, margin if not better else 0.0, settings.alpha),
        verdict=Verdict.ABSTAIN,
        words="",
    )
    return at_level(test, paired, settings, level)


def at_level(test: SuiteTest, paired: Paired, settings: GateSettings, level: float) -> SuiteTest:
    """The same test with the verdict that it has at another level."""
    test = test.model_copy(update={"level": level})
    verdict, why = _verdict(test, paired, settings)
    return test.model_copy(update={"verdict": verdict, "words": _words(test, paired, why)})


def p_needed(level: float) -> float:
    """The p-value that proves a claim at the end."""
    return (1.0 - EARLY) * level


def e_needed(test: SuiteTest) -> float:
    """The e-value that proves a claim at any time."""
    return 1.0 / (test.level if test.p_value is None else EARLY * test.level)


def proven(test: SuiteTest) -> bool:
    """Whether the claim of a suite stands at its level."""
    ended = test.items >= test.planned
    at_end = ended and test.p_value is not None and test.p_value <= p_needed(test.level)
    return test.e_value >= e_needed(test) or at_end


def decided_against(d: Floats, suite: str, settings: GateSettings) -> bool:
    """Whether a suite needs no more items, since its e-value has shown harm (or, of `learned`, less
    than the smallest useful gain). May be asked after every item: the e-value allows it."""
    if len(d) < settings.min_items:
        return False
    bound = settings.min_gain if suite == LEARNED else -margin_of(suite, settings)
    return e_value_below(d, bound) >= 1.0 / settings.alpha


def broken_slices(paired: Paired, margin: float, alpha: float) -> tuple[SliceTest, ...]:
    """Slices that lost more than `margin` beyond chance: one-sided exact McNemar tests (the e-value
    where scores are graded), corrected for their number by Holm's method."""
    if len(set(paired.slices)) < 2:
        return ()
    place = np.array(paired.slices)
    found: list[tuple[float, str, NDArray[np.bool_]]] = []
    for name in sorted(set(paired.slices)):
        chosen = place == name
        found.append((_p_lost(paired.d[chosen]), name, chosen))
    found.sort(key=lambda f: (f[0], f[1]))
    tests: list[SliceTest] = []
    worst = 0.0
    for rank, (p, name, chosen) in enumerate(found):
        worst = min(1.0, max(worst, p * (len(found) - rank)))
        mean = _mean(paired.d[chosen])
        if worst <= alpha and mean < -margin - ROUNDING:
            tests.append(
                SliceTest(
                    slice=name, items=int(chosen.sum()), live=_mean(paired.live[chosen]),
                    candidate=_mean(paired.candidate[chosen]), p_value=worst,
                )
            )  # fmt: skip
    return tuple(tests)


def _p_lost(d: Floats) -> float:
    from scipy.stats import binom  # a second of start-up that only a gate needs

    if not np.isin(d, (-1.0, 0.0, 1.0)).all():
        return min(1.0, 1.0 / e_value_below(d, 0.0))
    won, lost = int((d > 0).sum()), int((d < 0).sum())
    return float(binom.sf(lost - 1, won + lost, 0.5)) if lost else 1.0


def _exact_p(paired: Paired, bound: float) -> float | None:
    if paired.counts is None:
        return None
    from adapt.exact import p_above

    return p_above(*paired.counts, len(paired.d), bound)


def _verdict(test: SuiteTest, paired: Paired, settings: GateSettings) -> tuple[Verdict, str]:
    if paired.fault:
        return Verdict.ABSTAIN, paired.fault
    if test.items < settings.min_items:
        few = f"at least {settings.min_items} are needed"
        return Verdict.ABSTAIN, f"too few items to conclude anything: {few}"
    if test.slices:
        return Verdict.REJECT, "broke on " + ", ".join(map(_slice_words, test.slices))
    rule = _superior if test.kind == "superiority" else _not_inferior
    return rule(test, settings.alpha)


def _superior(test: SuiteTest, alpha: float) -> tuple[Verdict, str]:
    """Whether the gain exceeds the smallest useful one."""
    more = f"a gain of more than {test.margin:g}" if test.margin else "a gain"
    if proven(test):
        return Verdict.PROMOTE, f"{more} is proven ({evidence(test)})"
    if test.e_against >= 1.0 / alpha:
        less = "a loss" if not test.margin else f"a gain of less than {test.margin:g}"
        return Verdict.REJECT, f"{less} is proven (evidence {_of(test.e_against, alpha)})"
    if test.interval[1] <= test.margin + ROUNDING:
        return Verdict.REJECT, f"the whole interval shows no {'such ' * bool(test.margin)}gain"
    return Verdict.ABSTAIN, f"{more} is not proven ({evidence(test)})"


def _not_inferior(test: SuiteTest, alpha: float) -> tuple[Verdict, str]:
    """Whether no more than the margin was lost."""
    claim = f"that no more than {test.margin:g} is lost"
    if proven(test):
        return Verdict.PROMOTE, f"{claim} is proven ({evidence(test)})"
    worse = test.difference < 0 and test.mcnemar_p < alpha
    if test.e_against >= 1.0 / alpha or worse:
        return Verdict.REJECT, f"{claim} is not proven ({evidence(test)}), and harm is hardly " + (
            f"chance (McNemar p {test.mcnemar_p:.2g}, evidence {_of(test.e_against, alpha)})"
        )
    return Verdict.ABSTAIN, f"{claim} is not proven ({evidence(test)})"


def evidence(test: SuiteTest) -> str:
    """How strong the case for the claim is, beside what would prove it."""
    e_value = f"evidence {test.e_value:.3g} of {e_needed(test):.3g}"
    if test.p_value is None:
        return e_value
    return f"p {test.p_value:.2g}, at most {p_needed(test.level):.2g} needed; {e_value}"


def _words(test: SuiteTest, paired: Paired, why: str) -> str:
    low, high = test.interval
    stopped = f" (stopped early, {test.planned} planned)" if test.items < test.planned else ""
    return (
        f"{test.suite}: {paired.live.sum():g} of {test.items}{stopped} right before, "
        f"{paired.candidate.sum():g} after ({test.difference:+.3f}, 95% interval {low:+.3f} to "
        f"{high:+.3f}); {why}."
    )


def _slice_words(test: SliceTest) -> str:
    return (
        f"{test.slice} ({test.live:.3f} to {test.candidate:.3f} of {test.items} items, "
        f"p {test.p_value:.2g})"
    )


def _of(evidence: float, alpha: float) -> str:
    return f"{evidence:.3g} of {1.0 / alpha:.3g}"


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0
