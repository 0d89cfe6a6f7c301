"""The gate: verdicts on constructed pairs, evidence under the null, words and digest."""

import re
from collections.abc import Sequence

import numpy as np
import pytest

from adapt.eprocess import e_value_above, e_value_below, interval_95, mcnemar_p
from adapt.gate import decide, pair_up
from adapt.gate_forgotten import Forgotten
from adapt.gate_suite import judge_suite
from agent.config import GateSettings
from store.errors import ConfigError
from store.evidence import EvalReport, GateReport, ItemOutcome, SuiteTest, Verdict
from store.records import utc_now

SETTINGS = GateSettings()


def report(
    suite: str, version: str, scores: Sequence[float], error: str | None = None, **changes: object
) -> EvalReport:
    """A report with these scores; `error` is an engine fault on the first item."""
    outcomes = tuple(
        ItemOutcome(item=f"{suite}-{i}", slice="s", score=s, error=error if i == 0 else None)
        for i, s in enumerate(scores)
    )
    made = EvalReport(
        digest=f"{suite}-{version}", version=version, suite=suite, suite_digest=suite,
        decoding={"temperature": 0.0}, engine={}, outcomes=outcomes, created_at=utc_now(),
    )  # fmt: skip
    return made.model_copy(update=changes)


def pair(
    suite: str, won: int, lost: int, tied: int, error: str | None = None
) -> tuple[EvalReport, EvalReport]:
    """Reports in which the candidate wins, loses and ties that many items."""
    live = [0.0] * won + [1.0] * lost + [1.0] * tied
    candidate = [1.0] * won + [0.0] * lost + [1.0] * tied
    return report(suite, "v1", live), report(suite, "v2", candidate, error)


def judged(
    learned: tuple[int, int, int] = (80, 2, 78), error: str | None = None,
    **others: tuple[int, int, int],
) -> GateReport:  # fmt: skip
    """The verdict on `learned` and the other suites, given as (won, lost, tied)."""
    others = others or {"kept": (1, 1, 238), "tools": (0, 0, 120), "general": (0, 0, 100)}
    pairs = {"learned": pair("learned", *learned, error)}
    return decide(pairs | {n: pair(n, *c) for n, c in others.items()}, SETTINGS)


def by_suite(report: GateReport) -> dict[str, SuiteTest]:
    return {t.suite: t for t in report.tests}


def test_a_clear_gain_without_loss_is_promoted() -> None:
    """Every claim stands: the candidate is promoted, and the numbers are those of the pairs."""
    result = judged()
    learned = by_suite(result)["learned"]
    assert result.verdict is Verdict.PROMOTE
    assert (result.live, result.candidate, len(result.reports)) == ("v1", "v2", 8)
    assert learned.kind == "superiority" and learned.items == 160
    assert learned.difference == pytest.approx(78 / 160)
    assert learned.interval[0] < learned.difference < learned.interval[1]
    assert learned.e_value > 20 > learned.e_against
    assert "80 of 160 right before, 158 after" in learned.words


@pytest.mark.parametrize(
    ("learned", "verdict"),
    [
        ((0, 0, 160), Verdict.REJECT),  # nothing learned at all
        ((2, 60, 98), Verdict.REJECT),  # unlearned
        ((4, 1, 155), Verdict.ABSTAIN),  # perhaps a little
        ((30, 2, 128), Verdict.PROMOTE),
    ],
)
def test_learned_must_be_shown_to_be_better(
    learned: tuple[int, int, int], verdict: Verdict
) -> None:
    """Superiority decides by proof; what is unproven abstains."""
    assert judged(learned).verdict is verdict


@pytest.mark.parametrize(
    ("kept", "verdict"),
    [
        ((1, 3, 236), Verdict.PROMOTE),  # a little is lost: more than the margin is ruled out
        ((0, 5, 235), Verdict.PROMOTE),
        ((4, 12, 224), Verdict.ABSTAIN),  # perhaps more than the margin, perhaps chance
        ((1, 3, 76), Verdict.ABSTAIN),  # the same loss on few items rules nothing out
        ((1, 14, 225), Verdict.REJECT),  # hardly chance
        ((0, 120, 0), Verdict.REJECT),
        ((60, 0, 60), Verdict.PROMOTE),  # better is not worse
    ],
)
def test_what_was_known_must_not_be_lost(kept: tuple[int, int, int], verdict: Verdict) -> None:
    """One damaged suite stops the update, however much was learned."""
    assert judged(kept=kept, tools=(0, 0, 120)).verdict is verdict


def test_two_hundred_ties_prove_that_nothing_was_lost() -> None:
    """With no change at all non-inferiority is proven outright, and loss never is."""
    test = by_suite(judged(kept=(0, 0, 150)))["kept"]
    assert test.e_value >= 20 and test.e_against <= 1.0
    assert "proven" in test.words


def test_a_small_loss_that_is_proven_to_be_small_passes() -> None:
    """Thousands of items that show a loss within the margin are what the margin allows."""
    test = by_suite(judged(kept=(20, 130, 3850)))["kept"]
    assert test.difference == pytest.approx(-0.0275)
    assert test.e_against >= 20 and test.p_value is not None and test.p_value < 0.001
    assert test.verdict is Verdict.PROMOTE


def test_a_smaller_level_asks_for_more_proof() -> None:
    """What proves a claim at the whole of alpha need not prove it at a share of it."""
    paired = pair_up(*pair("kept", 1, 5, 234))
    whole = judge_suite("kept", paired, SETTINGS)
    assert whole.verdict is Verdict.PROMOTE and whole.p_value is not None
    small = judge_suite("kept", paired, SETTINGS, level=whole.p_value / 2)
    assert small.verdict is Verdict.ABSTAIN


def test_margins_may_differ_by_suite() -> None:
    """A suite's own margin goes before the common one."""
    settings = GateSettings(margins={"tools": 0.2})
    lost = (0, 20, 180)
    pairs = {"learned": pair("learned", 80, 2, 78)}
    tests = decide(pairs | {n: pair(n, *lost) for n in ("tools", "kept")}, settings).tests
    assert [(t.suite, t.margin) for t in tests[1:]] == [("tools", 0.2), ("kept", 0.06)]
    assert [t.verdict for t in tests[1:]] == [Verdict.PROMOTE, Verdict.REJECT]


def test_a_suite_that_stopped_early_is_judged_by_its_e_value_alone() -> None:
    """The exact test is for all planned items: used before, it would err more often than told."""
    few = pair_up(*pair("learned", 9, 1, 15), planned=200)
    stopped = judge_suite("learned", few, SETTINGS)
    whole = judge_suite("learned", pair_up(*pair("learned", 9, 1, 15)), SETTINGS)
    assert whole.verdict is Verdict.PROMOTE and stopped.verdict is Verdict.ABSTAIN
    assert "stopped early, 200 planned" in stopped.words


def test_graded_scores_are_judged_by_their_e_value() -> None:
    """There is no exact test of partial scores; strong evidence still proves a claim."""
    live, candidate = report("kept", "v1", [0.5] * 400), report("kept", "v2", [0.55] * 400)
    test = judge_suite("kept", pair_up(live, candidate), SETTINGS)
    assert test.p_value is None and test.verdict is Verdict.PROMOTE


def test_a_slice_that_broke_rejects_and_is_named() -> None:
    """Half of one slice lost is no average of the suite's."""
    slices = ["refusals"] * 30 + ["calls"] * 270
    live = report("tools", "v1", [1.0] * 300)
    candidate = report("tools", "v2", [0.0] * 14 + [1.0] * 286)
    live, candidate = (_sliced(r, slices) for r in (live, candidate))
    result = decide({"learned": pair("learned", 80, 2, 78), "tools": (live, candidate)}, SETTINGS)
    test = by_suite(result)["tools"]
    assert [s.slice for s in test.slices] == ["refusals"]
    assert result.verdict is Verdict.REJECT
    assert any("broke on refusals" in line for line in result.summary)


def test_losses_spread_over_slices_break_none() -> None:
    """As many losses, over ten slices: none of them broke."""
    slices = [f"s{i % 10}" for i in range(300)]
    live = _sliced(report("tools", "v1", [1.0] * 300), slices)
    candidate = _sliced(report("tools", "v2", [0.0] * 10 + [1.0] * 290), slices)
    assert judge_suite("tools", pair_up(live, candidate), SETTINGS).slices == ()


def _sliced(report: EvalReport, slices: Sequence[str]) -> EvalReport:
    outcomes = tuple(
        o.model_copy(update={"slice": s}) for o, s in zip(report.outcomes, slices, strict=True)
    )
    return report.model_copy(update={"outcomes": outcomes})


def test_what_all_updates_lost_together_is_tested_too() -> None:
    """A candidate that is no worse than the live version may be far worse than the base."""
    pairs = {"learned": pair("learned", 80, 2, 78), "tools": pair("tools", 0, 0, 300)}
    base, candidate = pair("tools", 0, 60, 240)
    base = base.model_copy(update={"version": "v0", "digest": "tools-v0"})
    result = decide(pairs, SETTINGS, since={"tools": (base, candidate)})
    assert result.verdict is Verdict.REJECT
    assert by_suite(result)["tools since v0"].margin == SETTINGS.total_margin


def test_the_summary_says_what_was_learned_kept_and_would_have_changed_it() -> None:
    """Ten seconds of reading: the verdict, both sides, the weakest claim, and the turning point."""
    promoted = judged(kept=(1, 3, 236), tools=(2, 6, 292))
    text = "\n".join(promoted.summary)
    assert promoted.summary[0].startswith("Promoted")
    assert "Learned: 0.500 to 0.988" in text and "Kept: kept 0.996 to 0.988" in text
    turning = re.search(r"changed it: (\d+) more items lost on (\w+)", text)
    assert turning
    more, weakest = int(turning[1]), turning[2]
    before = {"kept": (1, 3, 236), "tools": (2, 6, 292)}
    for extra, verdict in ((more, False), (more - 1, True)):
        won, lost, tied = before[weakest]
        counts = before | {weakest: (won, lost + extra, tied - extra)}
        pairs = {"learned": pair("learned", 80, 2, 78)}
        again = decide(pairs | {n: pair(n, *c) for n, c in counts.items()}, SETTINGS)
        assert (again.verdict is Verdict.PROMOTE) is verdict
    refused = judged(kept=(4, 12, 224), tools=(0, 0, 200))
    assert "right on kept" in refused.summary[-1]


def test_too_few_items_abstain() -> None:
    """Nineteen items prove nothing, even when all of them are won or lost."""
    assert judged((19, 0, 0)).verdict is Verdict.ABSTAIN
    result = judged(kept=(0, 19, 0), tools=(0, 0, 120))
    assert result.verdict is Verdict.ABSTAIN
    assert "at least 20 are needed" in result.words


def test_an_engine_fault_abstains_whatever_else_is_known() -> None:
    """One item without an answer: no promotion, and no rejection either."""
    for learned in ((80, 2, 78), (2, 60, 98)):
        result = judged(learned, error="the engine died")
        assert result.verdict is Verdict.ABSTAIN
        assert "the engine died" in result.words
        assert by_suite(result)["learned"].items == 159


def test_a_rejecting_suite_outweighs_one_with_too_few_items() -> None:
    """Harm that is shown is not excused by what is unknown elsewhere."""
    assert judged(kept=(0, 60, 60), tools=(0, 0, 3)).verdict is Verdict.REJECT


def test_reports_that_cannot_be_compared_abstain() -> None:
    """Other items or other decoding on one side say nothing about the candidate."""
    live, candidate = pair("learned", 80, 2, 78)
    kept = {"kept": pair("kept", 0, 0, 150)}
    for changes in ({"suite_digest": "another"}, {"decoding": {"temperature": 1.0}}):
        odd = candidate.model_copy(update=changes)
        assert decide({"learned": (live, odd), **kept}, SETTINGS).verdict is Verdict.ABSTAIN


def test_nothing_new_or_nothing_known_asked_abstains() -> None:
    """A candidate is judged on both: what it learned, and what it had to keep."""
    assert decide({"kept": pair("kept", 0, 0, 150)}, SETTINGS).verdict is Verdict.ABSTAIN
    assert decide({"learned": pair("learned", 80, 0, 0)}, SETTINGS).verdict is Verdict.ABSTAIN


def test_reports_of_other_versions_are_refused() -> None:
    """Pairs of two cycles are a mistake of the caller, and so are no pairs."""
    live, candidate = pair("kept", 0, 0, 150)
    mixed = {
        "learned": pair("learned", 80, 2, 78),
        "kept": (live, candidate.model_copy(update={"version": "v3"})),
    }
    for pairs in (mixed, {}):
        with pytest.raises(ConfigError, match="one live version and one candidate"):
            decide(pairs, SETTINGS)


def test_the_digest_is_that_of_the_evidence() -> None:
    """The same pairs give the same digest at any time; another outcome or setting another one."""
    assert judged().digest == judged().digest
    assert judged().digest != judged((81, 2, 77)).digest
    pairs = {"learned": pair("learned", 80, 2, 78), "kept": pair("kept", 0, 0, 150)}
    assert decide(pairs, SETTINGS).digest != decide(pairs, GateSettings(margin=0.04)).digest


def test_outcomes_are_paired_by_item_not_by_place() -> None:
    """A report in another order gives the same test."""
    live, candidate = pair("learned", 80, 2, 78)
    turned = candidate.model_copy(update={"outcomes": candidate.outcomes[::-1]})
    kept = {"kept": pair("kept", 0, 0, 150)}
    one = decide({"learned": (live, candidate), **kept}, SETTINGS)
    other = decide({"learned": (live, turned), **kept}, SETTINGS)
    assert one.tests == other.tests


def test_a_smallest_useful_gain_must_be_exceeded() -> None:
    """With min_gain, a gain below it is no reason to change what is live."""
    pairs = {"learned": pair("learned", 16, 0, 144), "kept": pair("kept", 0, 0, 150)}
    assert decide(pairs, GateSettings()).verdict is Verdict.PROMOTE
    assert decide(pairs, GateSettings(min_gain=0.2)).verdict is Verdict.REJECT


@pytest.mark.parametrize("bound", [0.0, -0.03, 0.1])
def test_evidence_against_a_true_hypothesis_is_rare(bound: float) -> None:
    """With the mean at the bound, 1/alpha is reached at any time in at most alpha of runs."""
    rng = np.random.default_rng(5)
    up = 0.2 + max(bound, 0.0)
    chances = [up - bound, 1.0 - 2 * up + bound, up]
    for side, sign in ((e_value_above, 1.0), (e_value_below, -1.0)):
        reached = 0
        for _ in range(200):
            d = rng.choice([-1.0, 0.0, 1.0], p=chances, size=120)
            looks = (side(d[:n], bound) for n in range(10, 121, 10))
            reached += any(e >= 20 for e in looks)
        assert reached / 200 <= 0.05, (bound, sign)


def test_evidence_does_not_depend_on_the_order_of_items() -> None:
    """The same differences in any order carry the same evidence."""
    d = np.array([1.0] * 20 + [-1.0] * 5 + [0.0] * 60 + [0.5] * 4)
    shuffled = np.random.default_rng(0).permutation(d)
    assert e_value_above(d, 0.0) == pytest.approx(e_value_above(shuffled, 0.0))


def test_statistics_of_no_items_claim_nothing() -> None:
    """No items: no evidence, no interval, no p-value below one."""
    none = np.array([])
    assert (e_value_above(none, 0.0), interval_95(none), mcnemar_p(none)) == (1.0, (0.0, 0.0), 1.0)


def test_overwhelming_evidence_stays_a_number() -> None:
    """Ten thousand wins do not overflow."""
    assert np.isfinite(e_value_above(np.ones(10_000), 0.0))


def test_a_line_made_anew_need_not_learn_but_must_have_forgotten() -> None:
    """It goes live where it keeps all else and answers no more than what never saw the document."""
    kept = {"kept": pair("kept", 0, 0, 150)}
    gone = Forgotten(items=40, live=0.9, candidate=0.05, never=0.0)
    still = Forgotten(items=40, live=0.9, candidate=0.075, never=0.0)
    assert decide(kept, SETTINGS).verdict is Verdict.ABSTAIN
    passed = decide(kept, SETTINGS, forgotten=gone)
    assert passed.verdict is Verdict.PROMOTE and "is forgotten: 0.050" in passed.words
    refused = decide(kept, SETTINGS, forgotten=still)
    assert refused.verdict is Verdict.REJECT and "is still answered" in refused.words
    assert refused.digest != passed.digest
    lost = {"kept": pair("kept", 0, 60, 90)}
    assert decide(lost, SETTINGS, forgotten=gone).verdict is Verdict.REJECT
