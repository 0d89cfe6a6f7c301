"""The gate: from paired answers of the live version and a candidate to promote, reject or abstain.

A pure function (but for the time stamp): asks nothing, stores nothing, moves no version. The test
of one suite is in adapt.gate_suite; how often the rules err is measured by adapt.calibrate and
told in docs/gate.md. Called by the cycle.

Overall: an engine fault, or two reports that cannot be compared, is abstain whatever else they say;
else one rejecting suite rejects; else one abstaining suite abstains, and a suite of fewer than
`min_items` items abstains; promotion needs every claim proven: that `learned` is better, that each
other suite (at least one) lost less than its margin, and, on suites that never change, that all
updates since the base together lost less than `total_margin`. As every claim must be proven, the
chance of promoting where one of them is false is at most the level, however many there are. A line
that is made anew without a withdrawn document need not learn: it must no longer answer for it.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from adapt.gate_forgotten import Forgotten
from adapt.gate_suite import LEARNED, Paired, judge_suite
from adapt.gate_words import summary
from agent.config_sections import GateSettings
from store.errors import ConfigError
from store.evidence import EvalReport, GateReport, SuiteTest, Verdict
from store.records import digest_of, utc_now

Pair = tuple[EvalReport, EvalReport]
"""Reports of the live (or another earlier) version and of the candidate on one suite."""


def decide(
    pairs: Mapping[str, Pair],
    settings: GateSettings,
    *,
    level: float | None = None,
    planned: Mapping[str, int] | None = None,
    since: Mapping[str, Pair] | None = None,
    forgotten: Forgotten | None = None,
) -> GateReport:
    """The verdict on a candidate from (live, candidate) reports by suite name.

    `level` is this update's share of the error (adapt.spending; settings.alpha where left out),
    `planned` the items of suites whose asking may have stopped early, `since` reports of the base
    and the candidate on suites that never change, `forgotten` what is answered of withdrawn
    documents. Faults, odd reports and small suites are verdicts, not errors. ConfigError when there
    is no suite at all, or when the reports are of more than two versions.
    """
    live, candidate = _versions(pairs.values())
    level = settings.alpha if level is None else level
    planned = planned or {}
    paired = {name: pair_up(*pair, planned.get(name, 0)) for name, pair in pairs.items()}
    tests = [judge_suite(name, p, settings, level) for name, p in paired.items()]
    for name, pair in (since or {}).items():
        long = f"{name} since {pair[0].version}"
        paired[long] = pair_up(*pair, planned.get(name, 0))
        tests.append(judge_suite(long, paired[long], settings, level, settings.total_margin))
    faults = [f"{n}: {p.fault}" for n, p in paired.items() if p.fault]
    verdict, words = overall(tests, faults, must_learn=forgotten is None)
    if forgotten is not None:
        if verdict is not Verdict.ABSTAIN and not forgotten.holds:
            verdict, words = Verdict.REJECT, f"Rejected. {words.partition('. ')[2]}"
        words = f"{words} {forgotten.words}"
    reports = [r.digest for pair in (*pairs.values(), *(since or {}).values()) for r in pair]
    body = [live, candidate, reports, settings.model_dump(), [t.model_dump() for t in tests]]
    return GateReport(
        digest=digest_of([*body, level, verdict, words]),
        candidate=candidate,
        live=live,
        reports=tuple(dict.fromkeys(reports)),
        tests=tuple(tests),
        alpha=settings.alpha,
        level=level,
        tested=not faults,
        verdict=verdict,
        words=words,
        summary=(
            *summary(tests, paired, verdict, faults, settings),
            *((forgotten.words,) if forgotten else ()),
        ),
        created_at=utc_now(),
    )


def pair_up(live: EvalReport, candidate: EvalReport, planned: int = 0) -> Paired:
    """Join two reports by item. Items that either side failed to ask are left out."""
    faults = [o.error for report in (live, candidate) for o in report.outcomes if o.error]
    fault = ""
    if live.suite_digest != candidate.suite_digest:
        fault = (
            f"the versions were asked different items (suite {live.suite_digest[:12]} and "
            f"{candidate.suite_digest[:12]}): a changed suite makes old reports incomparable"
        )
    elif live.decoding != candidate.decoding:
        fault = "the versions were asked with different decoding"
    elif faults:
        fault = f"the engine failed on {len(faults)} of the answers ({faults[0]})"
    answered = {o.item: o.score for o in live.outcomes if not o.error}
    both = [o for o in candidate.outcomes if not o.error and o.item in answered]
    return Paired(
        live=np.array([answered[o.item] for o in both], dtype=np.float64),
        candidate=np.array([o.score for o in both], dtype=np.float64),
        slices=tuple(o.slice for o in both),
        planned=planned,
        fault=fault,
    )


def overall(
    tests: Sequence[SuiteTest], faults: Sequence[str], *, must_learn: bool = True
) -> tuple[Verdict, str]:
    """The verdict on the candidate, and the suites it rests on."""
    by: dict[Verdict, list[SuiteTest]] = {v: [t for t in tests if t.verdict is v] for v in Verdict}
    names = {t.suite for t in tests}
    if faults:
        return Verdict.ABSTAIN, "Abstained. " + "; ".join(faults)
    if rejecting := by[Verdict.REJECT]:
        return Verdict.REJECT, "Rejected. " + " ".join(t.words for t in rejecting)
    if must_learn and LEARNED not in names:
        return Verdict.ABSTAIN, f"Abstained. There is no suite {LEARNED}: nothing new was asked."
    if len(names - {LEARNED}) < 1:
        return Verdict.ABSTAIN, "Abstained. Nothing was asked of what the live version knew."
    if abstaining := by[Verdict.ABSTAIN]:
        return Verdict.ABSTAIN, "Abstained. " + " ".join(t.words for t in abstaining)
    return Verdict.PROMOTE, "Promoted. " + " ".join(t.words for t in tests)


def _versions(pairs: Iterable[Pair]) -> tuple[str, str]:
    """The names of the live version and of the candidate."""
    found = {(live.version, candidate.version) for live, candidate in pairs}
    if len(found) != 1:
        named = ", ".join(f"{a} against {b}" for a, b in sorted(found)) or "none"
        raise ConfigError(
            f"the gate needs reports of one live version and one candidate, and got {named}",
            "give it the pairs of one cycle",
        )
    return next(iter(found))
