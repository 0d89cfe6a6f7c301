"""The gate: from paired answers of the live version and a candidate to promote, reject or abstain.

A pure function (but for the time stamp): asks nothing, stores nothing, moves no version. The
statistics are in adapt.eprocess; how often the rules err is measured by adapt.gate_calibrate and
told in docs/gate.md. Called by the cycle.

Per suite, d = candidate - live over the same items, each in [-1, 1]. `learned` must be better:

- promote: an e-value of 1/alpha that the mean d exceeds `min_gain`;
- reject: an e-value of 1/alpha that it is less, or a 95% interval that ends at or below `min_gain`;
- abstain: neither.

Every other suite must not be worse by more than `margin`:

- promote: an e-value of 1/alpha that the mean d exceeds -margin; or, since a hundred items that do
  not all tie cannot give that proof, an observed d of at least -margin and no proof of harm, which
  is an e-value of 1/alpha that the mean d is below 0;
- reject: an observed d below -margin, and proof of harm or an exact McNemar p below alpha;
- abstain: neither.

Overall: an engine fault, or two reports that cannot be compared, is abstain whatever else they say;
else one rejecting suite rejects; else one abstaining suite abstains, and a suite of fewer than
`min_items` items abstains; promotion needs every suite, `learned` and at least one other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from adapt.eprocess import Floats, e_value_above, e_value_below, interval_95, mcnemar_p
from agent.config_sections import GateSettings
from store.errors import ConfigError
from store.records import EvalReport, GateReport, SuiteTest, Verdict, digest_of, utc_now

LEARNED = "learned"
"""The one suite that a candidate must be better at."""
Pair = tuple[EvalReport, EvalReport]
"""Reports of the live version and of the candidate on one suite."""
_ROUNDING = 1e-9
"""Three of a hundred items lost must not count as more than 0.03 for how floats round."""


@dataclass(frozen=True)
class Paired:
    """Scores of both versions on the items that both answered, in order."""

    live: Floats
    candidate: Floats
    fault: str = ""
    """Why nothing may be concluded: an engine fault, or reports that cannot be compared."""


def decide(pairs: Mapping[str, Pair], settings: GateSettings) -> GateReport:
    """The verdict on a candidate from (live, candidate) reports by suite name.

    Faults, odd reports and small suites are verdicts, not errors. ConfigError when there is no
    suite at all, or when the reports are of more than two versions.
    """
    live, candidate = _versions(pairs)
    paired = {name: pair_up(*pair) for name, pair in pairs.items()}
    tests = tuple(judge_suite(name, p, settings) for name, p in paired.items())
    verdict, words = overall(tests, [f"{n}: {p.fault}" for n, p in paired.items() if p.fault])
    reports = tuple(report.digest for pair in pairs.values() for report in pair)
    body = [live, candidate, reports, settings.model_dump(), [t.model_dump() for t in tests]]
    return GateReport(
        digest=digest_of([*body, verdict, words]),
        candidate=candidate,
        live=live,
        reports=reports,
        tests=tests,
        alpha=settings.alpha,
        verdict=verdict,
        words=words,
        created_at=utc_now(),
    )


def pair_up(live: EvalReport, candidate: EvalReport) -> Paired:
    """Join two reports by item. Items that either side failed to ask are left out."""
    faults = [o.error for report in (live, candidate) for o in report.outcomes if o.error]
    fault = ""
    if live.suite_digest != candidate.suite_digest:
        fault = "the versions were asked different items"
    elif live.decoding != candidate.decoding:
        fault = "the versions were asked with different decoding"
    elif faults:
        fault = f"the engine failed on {len(faults)} of the answers ({faults[0]})"
    answered = {o.item: o.score for o in live.outcomes if not o.error}
    both = [
        (answered[o.item], o.score)
        for o in candidate.outcomes
        if not o.error and o.item in answered
    ]
    scores = np.array(both, dtype=np.float64).reshape(-1, 2)
    return Paired(scores[:, 0], scores[:, 1], fault)


def judge_suite(name: str, paired: Paired, settings: GateSettings) -> SuiteTest:
    """The test of one suite: superiority for `learned`, non-inferiority for any other."""
    kind: Literal["superiority", "non_inferiority"] = (
        "superiority" if name == LEARNED else "non_inferiority"
    )
    d = paired.candidate - paired.live
    better = kind == "superiority"
    margin = settings.min_gain if better else settings.margin
    low, high = interval_95(d)
    test = SuiteTest(
        suite=name,
        kind=kind,
        items=len(d),
        live=_mean(paired.live),
        candidate=_mean(paired.candidate),
        difference=_mean(d),
        interval=(low, high),
        margin=margin,
        e_value=e_value_above(d, margin if better else -margin),
        e_against=e_value_below(d, margin if better else 0.0),
        mcnemar_p=mcnemar_p(d),
        verdict=Verdict.ABSTAIN,
        words="",
    )
    if paired.fault:
        verdict, why = Verdict.ABSTAIN, paired.fault
    elif len(d) < settings.min_items:
        verdict = Verdict.ABSTAIN
        why = f"too few items to conclude anything: at least {settings.min_items} are needed"
    elif better:
        verdict, why = _superior(test, 1.0 / settings.alpha)
    else:
        verdict, why = _not_inferior(test, 1.0 / settings.alpha)
    return test.model_copy(update={"verdict": verdict, "words": _words(test, paired, why)})


def _superior(test: SuiteTest, proof: float) -> tuple[Verdict, str]:
    """Whether the gain exceeds the smallest useful one."""
    more = f"more than {test.margin:g}" if test.margin else "a gain"
    if test.e_value >= proof:
        return Verdict.PROMOTE, f"{more} is proven (evidence {_of(test.e_value, proof)})"
    if test.e_against >= proof:
        why = "a loss is proven" if not test.margin else f"less than {test.margin:g} is proven"
        return Verdict.REJECT, f"{why} (evidence {_of(test.e_against, proof)})"
    if test.interval[1] <= test.margin + _ROUNDING:
        return Verdict.REJECT, f"the whole interval shows no {'such ' * bool(test.margin)}gain"
    return Verdict.ABSTAIN, f"{more} is not proven (evidence {_of(test.e_value, proof)})"


def _not_inferior(test: SuiteTest, proof: float) -> tuple[Verdict, str]:
    """Whether no more than the margin was lost."""
    limit = f"more than {test.margin:g} lost"
    harm = test.e_against >= proof
    if test.e_value >= proof:
        return Verdict.PROMOTE, f"not {limit}: proven (evidence {_of(test.e_value, proof)})"
    if test.difference >= -test.margin - _ROUNDING:
        if not harm:
            return Verdict.PROMOTE, (
                f"not {limit} as observed, and no proof of harm (evidence of harm "
                f"{_of(test.e_against, proof)})"
            )
        return Verdict.ABSTAIN, (
            f"harm is proven (evidence {_of(test.e_against, proof)}); that it stays within "
            f"{test.margin:g} is not (evidence {_of(test.e_value, proof)})"
        )
    if harm:
        return (
            Verdict.REJECT,
            f"{limit}, and harm is proven (evidence {_of(test.e_against, proof)})",
        )
    if test.mcnemar_p < 1.0 / proof:
        # Not the interval: resampling four losses in a hundred never draws a gain.
        return Verdict.REJECT, f"{limit}, which is hardly chance (McNemar p {test.mcnemar_p:.2g})"
    return Verdict.ABSTAIN, f"{limit}, which may be chance (McNemar p {test.mcnemar_p:.2g})"


def overall(tests: Sequence[SuiteTest], faults: Sequence[str]) -> tuple[Verdict, str]:
    """The verdict on the candidate, and the suites it rests on."""
    by: dict[Verdict, list[SuiteTest]] = {v: [t for t in tests if t.verdict is v] for v in Verdict}
    names = {t.suite for t in tests}
    if faults:
        return Verdict.ABSTAIN, "Abstained. " + "; ".join(faults)
    if rejecting := by[Verdict.REJECT]:
        return Verdict.REJECT, "Rejected. " + " ".join(t.words for t in rejecting)
    if LEARNED not in names:
        return Verdict.ABSTAIN, f"Abstained. There is no suite {LEARNED}: nothing new was asked."
    if len(names) < 2:
        return Verdict.ABSTAIN, "Abstained. Nothing was asked of what the live version knew."
    if abstaining := by[Verdict.ABSTAIN]:
        return Verdict.ABSTAIN, "Abstained. " + " ".join(t.words for t in abstaining)
    return Verdict.PROMOTE, "Promoted. " + " ".join(t.words for t in tests)


def _versions(pairs: Mapping[str, Pair]) -> tuple[str, str]:
    """The names of the live version and of the candidate."""
    found = {(live.version, candidate.version) for live, candidate in pairs.values()}
    if len(found) != 1:
        named = ", ".join(f"{a} against {b}" for a, b in sorted(found)) or "none"
        raise ConfigError(
            f"the gate needs reports of one live version and one candidate, and got {named}",
            "give it the pairs of one cycle",
        )
    return next(iter(found))


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0


def _words(test: SuiteTest, paired: Paired, why: str) -> str:
    low, high = test.interval
    return (
        f"{test.suite}: {paired.live.sum():g} of {test.items} right before, "
        f"{paired.candidate.sum():g} after ({test.difference:+.3f}, 95% interval {low:+.3f} to "
        f"{high:+.3f}); {why}."
    )


def _of(evidence: float, proof: float) -> str:
    return f"{evidence:.3g} of {proof:.3g}"
