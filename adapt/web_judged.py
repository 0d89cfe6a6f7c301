"""A gate report for people: every test with all its slices, and examples of what was answered.

The reports keep what was answered by the digest of the question; the questions are written again
from the cycle's examples and the pinned suites. Reads only. Called by adapt.web_actions.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from adapt.cycle_suites import cycle_suites
from adapt.evals.items import Item
from adapt.runtime import Runtime
from store.errors import NotFoundError
from store.evidence import EvalReport, GateReport, ItemOutcome, SuiteTest
from store.records import CycleStage

Json = dict[str, Any]
Pair = tuple[ItemOutcome, ItemOutcome]

EXAMPLES = 4
"""Examples of each kind and suite: lost, gained, both right, both wrong."""
REPORTS_KEPT = 16


class Judged:
    """Readable gate reports of one runtime; the last ones are kept, as reports never change."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._questions = lru_cache(maxsize=REPORTS_KEPT)(self._read_questions)
        self._made = lru_cache(maxsize=REPORTS_KEPT)(self._make)

    def __call__(self, digest: str) -> Json | None:
        """The report of that digest; None where it is no longer stored."""
        try:
            return self._made(digest)
        except NotFoundError:
            return None

    def _make(self, digest: str) -> Json:
        store = self._runtime.store
        gate = store.reports.get_gate(digest)
        reports = [store.reports.get_eval(each) for each in gate.reports]
        questions = self._questions(self._cycle_of(gate))
        return gate.model_dump(mode="json", exclude={"tests"}) | {
            "tests": [_test(test, gate, reports, questions) for test in gate.tests]
        }

    def _cycle_of(self, gate: GateReport) -> int | None:
        for cycle in self._runtime.store.cycles.newest_first():
            given = cycle.gave(CycleStage.GATE)
            if given and given["gate"] == gate.digest:
                return cycle.number
        return None

    def _read_questions(self, cycle: int | None) -> Mapping[str, Item]:
        """The cycle's questions by digest. One whose document was taken back is not among them."""
        if cycle is None:
            return {}
        found = self._runtime.store.cycles.get(cycle).gave(CycleStage.GATHER) or {}
        suites = cycle_suites(self._runtime, cycle, rebuilds="start" in found)
        return {item.digest: item for suite in suites for item in suite.items}


def _test(
    test: SuiteTest, gate: GateReport, reports: Sequence[EvalReport],
    questions: Mapping[str, Item],
) -> Json:  # fmt: skip
    """One suite's test. A test against the base has the base's answers in place of the live's."""
    suite, _, base = test.suite.partition(" since ")
    live = _outcomes(reports, suite, base or gate.live)
    candidate = _outcomes(reports, suite, gate.candidate)
    pairs = [(live[item], candidate[item]) for item in candidate if item in live]
    broke = {each.slice for each in test.slices}
    return test.model_dump(mode="json", exclude={"slices"}) | {
        "against": base or gate.live,
        "slices": _slices(pairs, broke),
        "examples": [] if base else _examples(pairs, questions),
    }


def _outcomes(reports: Sequence[EvalReport], suite: str, version: str) -> dict[str, ItemOutcome]:
    return {
        outcome.item: outcome
        for report in reports
        if (report.suite, report.version) == (suite, version)
        for outcome in report.outcomes
        if not outcome.error
    }


def _slices(pairs: Sequence[Pair], broke: set[str]) -> list[Json]:
    """Means of both versions by slice, the greatest loss first."""
    by: dict[str, list[Pair]] = {}
    for pair in pairs:
        by.setdefault(pair[0].slice, []).append(pair)
    rows: list[Json] = [
        {
            "slice": name, "items": len(some), "broke": name in broke,
            "live": sum(a.score for a, _ in some) / len(some),
            "candidate": sum(b.score for _, b in some) / len(some),
        }
        for name, some in by.items()
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row["candidate"] - row["live"], row["slice"]))


def _examples(pairs: Sequence[Pair], questions: Mapping[str, Item]) -> list[Json]:
    """Some answers of each kind; those whose questions are known come first."""
    kinds: dict[str, list[Pair]] = {"lost": [], "gained": [], "right": [], "wrong": []}
    for a, b in sorted(pairs, key=lambda pair: pair[0].item not in questions):
        same = "right" if a.score == 1 else "wrong"
        kind = "lost" if b.score < a.score else "gained" if b.score > a.score else same
        kinds[kind].append((a, b))
    return [
        {
            "kind": kind, "count": len(found),
            "items": [_example(*pair, questions.get(pair[0].item)) for pair in found[:EXAMPLES]],
        }
        for kind, found in kinds.items()
        if found
    ]  # fmt: skip


def _example(live: ItemOutcome, candidate: ItemOutcome, item: Item | None) -> Json:
    return {
        "slice": live.slice,
        "question": item.messages[-1].content if item else None,
        "wanted": _wanted(item.check) if item else None,
        "live": _answer(live),
        "candidate": _answer(candidate),
    }


def _answer(outcome: ItemOutcome) -> Json:
    return {
        "score": outcome.score, "answer": _calls(outcome.answer), "detail": outcome.detail,
    }  # fmt: skip


def _calls(answer: str) -> str:
    """A reply of calls alone, kept as `[[name, arguments], ...]`, a call on each line."""
    try:
        calls = json.loads(answer) if answer.startswith("[[") else None
        return "\n".join(f"{name} {arguments}" for name, arguments in calls) if calls else answer
    except (ValueError, TypeError):
        # Words of the model, or calls that were cut off.
        return answer


def _wanted(check: Mapping[str, Any]) -> str:
    """What a right answer is, for people."""
    if "values" in check:
        return " and ".join(map(str, check["values"]))
    if "value" in check:
        return str(check["value"])
    if check["kind"] == "call":
        return f"{check['name']} {json.dumps(check['arguments'], ensure_ascii=False)}"
    if check["kind"] == "task":
        calls = [
            f"{call['function']} {json.dumps(call['arguments'], ensure_ascii=False)}"
            for call in check["task"]["solution"]
        ]
        said = ", ".join(check["task"]["expected"])
        return "; ".join([*calls, *([f"and says {said}"] if said else [])])
    return "calls nothing, and says that it cannot" if check["kind"] == "refusal" else ""
