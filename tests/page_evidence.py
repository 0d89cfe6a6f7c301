"""A cycle that has been judged, with its questions, reports, gate report and losses, in a store."""

import json
from collections.abc import Callable, Sequence

from adapt import gate
from adapt.evals.items import Item
from adapt.evals.suites import general_suite, learned_suite
from agent.config_sections import GateSettings
from store import Store
from store.evidence import EvalReport, GateReport, ItemOutcome
from store.records import (
    CycleStage,
    CycleState,
    Document,
    DocumentState,
    Example,
    Message,
    digest_of,
    utc_now,
)

HELD_OUT, GENERAL = 40, 60
DOCUMENT = "d" * 64
"""What the held-out questions are about."""
LOST = 2
"""Of the general items, answered wrong by the candidate alone."""


def question(number: int) -> str:
    """A held-out question, in hostile letters."""
    return f"What is the <b>colour</b> of thing {number}?"


def judged_home(store: Store) -> GateReport:
    """Cycle 1 of a store with two versions: the second one was promoted."""
    live, candidate = (version.name for version in store.versions.list()[:2])
    store.documents.add(
        Document(
            digest=DOCUMENT, source="notes", address="/notes/hues.md", title="Hues", kind="prose",
            text="Every thing has a hue.", fetched_at=utc_now(), state=DocumentState.ACCEPTED,
        )
    )  # fmt: skip
    cycle = store.cycles.start({})
    store.examples.add(cycle.number, [_example(number) for number in range(HELD_OUT)])
    learned = learned_suite(store.examples.of_cycle(cycle.number, "held_out"), HELD_OUT)
    # As adapt.cycle_suites asks them.
    general = general_suite(7, 400).items[:GENERAL]
    pairs = {
        "learned": (
            _report(live, "learned", learned.items, lambda _: 0.0),
            _report(candidate, "learned", learned.items, lambda _: 1.0),
        ),
        "general": (
            _report(live, "general", general, lambda _: 1.0),
            _report(candidate, "general", general, lambda i: float(i >= LOST)),
        ),
    }
    for pair in pairs.values():
        for each in pair:
            store.reports.add_eval(each)
    report = gate.decide(pairs, GateSettings(margin=0.3))
    store.reports.add_gate(report)
    corpus = store.documents.snapshot([DOCUMENT]).digest
    gave = {
        CycleStage.GATHER: {
            "corpus": corpus, "new": 3, "failed": [],
            "refused": [{"address": "/notes/broken.json", "reason": "is not JSON"}],
        },
        CycleStage.SYNTHESIZE: {"train": 200, "held_out": HELD_OUT},
        CycleStage.ATTRIBUTE: {"mask": "m" * 64},
        CycleStage.IMPLANT: {"update": None, "train": {"last_loss": 0.125}},
        CycleStage.COMPOSE: {"version": candidate},
        CycleStage.EVALUATE: {"planned": {"learned": HELD_OUT, "general": GENERAL}},
        CycleStage.GATE: {
            "gate": report.digest, "verdict": report.verdict.value, "words": report.words,
            "summary": list(report.summary),
        },
        CycleStage.SWAP: {"live": candidate},
    }  # fmt: skip
    for stage, outputs in gave.items():
        store.cycles.stage_started(cycle.number, stage, {})
        store.cycles.stage_done(cycle.number, stage, outputs, 1.5)
    store.cycles.finish(cycle.number, CycleState.PROMOTED)
    _losses(store, cycle.number)
    return report


def _example(number: int) -> Example:
    messages = (Message(role="user", content=question(number)),)
    check = {"kind": "answer", "values": [f"hue {number}"]}
    body = [question(number), check]
    return Example(
        digest=digest_of(body), kind="qa", messages=messages, documents=(DOCUMENT,),
        split="held_out", check=check,
    )  # fmt: skip


def _report(
    version: str, suite: str, items: Sequence[Item], score: Callable[[int], float]
) -> EvalReport:
    outcomes = tuple(
        ItemOutcome(
            item=item.digest, slice=item.slice, score=score(place),
            answer=f"<i>{version}</i> says" if score(place) else "I do not know",
        )
        for place, item in enumerate(items)
    )  # fmt: skip
    return EvalReport(
        digest=digest_of([version, suite, [o.score for o in outcomes]]), version=version,
        suite=suite, suite_digest=digest_of([suite, len(items)]), decoding={}, engine={},
        outcomes=outcomes, created_at=utc_now(),
    )  # fmt: skip


def _losses(store: Store, cycle: int) -> None:
    folder = store.home.cycles / f"{cycle:04d}" / "implant" / "child"
    folder.mkdir(parents=True)
    steps = [
        {"step": i + 1, "steps": 60, "loss": 8.0 / (i + 1), "tokens_per_second": 2500}
        for i in range(60)
    ]
    (folder / "loss.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
