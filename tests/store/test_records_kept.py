"""Examples, reports, episodes, sources and the whole store: what goes in comes out."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest

from store.errors import NotFoundError, StateError, UserError
from store.evidence import EvalReport, GateReport, ItemOutcome, SuiteTest, Verdict
from store.records import Episode, Example, Message
from store.source_records import Source
from store.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def example(digest: str, split: Literal["train", "held_out"] = "train") -> Example:
    messages = (
        Message(role="user", content="Wann fährt die Fähre? \x00"),
        Message(role="assistant", tool_calls=({"name": "ferry", "arguments": {}},), loss=True),
    )
    return Example(digest=digest, kind="qa", messages=messages, documents=("d",), split=split)


def eval_report(digest: str, version: str = "v1", hours: int = 0) -> EvalReport:
    return EvalReport(
        digest=digest,
        version=version,
        suite="kept",
        suite_digest="s",
        decoding={"temperature": 0.0},
        engine={},
        outcomes=(ItemOutcome(item="i", slice="qa", score=0.5),),
        created_at=NOW + timedelta(hours=hours),
    )


def gate_report(digest: str, hours: int = 0) -> GateReport:
    test = SuiteTest(
        suite="kept",
        kind="non_inferiority",
        items=1,
        live=0.5,
        candidate=0.5,
        difference=0.0,
        interval=(0.0, 0.0),
        margin=0.03,
        e_value=float("inf"),
        e_against=0.0,
        mcnemar_p=1.0,
        verdict=Verdict.ABSTAIN,
        words="too few",
    )
    return GateReport(
        digest=digest,
        candidate="v1",
        live="v0",
        reports=("a", "b"),
        tests=(test,),
        alpha=0.05,
        verdict=Verdict.ABSTAIN,
        words="too few",
        created_at=NOW + timedelta(hours=hours),
    )


def episode(id: str, hours: int = 0) -> Episode:
    return Episode(
        id=id,
        thread="t",
        version="v1",
        messages=(Message(role="user", content="hi"),),
        steps=1,
        created_at=NOW + timedelta(hours=hours),
    )


def test_examples_keep_their_order_and_split(store: Store) -> None:
    made = [example("z"), example("a", "held_out"), example("m")]
    assert store.examples.add(1, made[:2]) == 2
    assert store.examples.add(1, [*made, made[2]]) == 1
    assert store.examples.of_cycle(1) == made
    assert store.examples.of_cycle(1, "held_out") == [made[1]]
    assert store.examples.of_cycle(2) == []
    assert store.examples.get("m") == made[2]
    with pytest.raises(NotFoundError, match="cycle 1"):
        store.examples.get("absent")


def test_held_out_before_takes_earlier_cycles_once_each(store: Store) -> None:
    """An item that an earlier cycle trained on measures nothing and is left out."""
    store.examples.add(1, [example("a", "held_out"), example("b", "held_out"), example("c")])
    store.examples.add(2, [example("d", "held_out"), example("a", "held_out"), example("b")])
    store.examples.add(3, [example("e", "held_out")])
    assert [e.digest for e in store.examples.held_out_before(3)] == ["a", "d"]
    assert [e.digest for e in store.examples.held_out_before(2)] == ["a", "b"]
    assert store.examples.held_out_before(1) == []


def test_a_batch_of_examples_is_stored_whole_or_not_at_all(store: Store) -> None:
    def failing() -> Any:
        yield example("a")
        raise ValueError

    with pytest.raises(ValueError):
        store.examples.add(1, failing())
    assert store.examples.of_cycle(1) == []


def test_reports_come_back_with_infinite_evidence(store: Store) -> None:
    assert store.reports.add_eval(eval_report("b", hours=1))
    assert store.reports.add_eval(eval_report("c", hours=0))
    assert not store.reports.add_eval(eval_report("b"))
    assert store.reports.get_eval("b") == eval_report("b", hours=1)
    assert [r.digest for r in store.reports.evals_of("v1")] == ["c", "b"]
    assert store.reports.gate_of("v1") is None
    assert store.reports.add_gate(gate_report("old")) and store.reports.add_gate(
        gate_report("new", hours=1)
    )
    assert not store.reports.add_gate(gate_report("old"))
    assert store.reports.get_gate("old") == gate_report("old")
    assert store.reports.gate_of("v1") == gate_report("new", hours=1)
    for missing in (store.reports.get_eval, store.reports.get_gate):
        with pytest.raises(NotFoundError):
            missing("absent")


def test_episodes_are_listed_newest_first(store: Store) -> None:
    for hours in range(4):
        store.episodes.add(episode(f"e{hours}", hours))
    assert [e.id for e in store.episodes.list(3)] == ["e3", "e2", "e1"]
    assert store.episodes.get("e0") == episode("e0")
    with pytest.raises(NotFoundError):
        store.episodes.get("absent")
    with pytest.raises(StateError):
        store.episodes.add(episode("e0"))


def test_sources_are_kept_by_name(store: Store) -> None:
    source = Source(name="docs", location="/srv/docs", added_at=NOW)
    store.sources.add(source)
    with pytest.raises(UserError, match="'docs'"):
        store.sources.add(source)
    assert store.sources.list() == [source] and store.sources.get("docs") == source
    with pytest.raises(NotFoundError, match="there are: docs"):
        store.sources.remove("other")
    store.sources.remove("docs")
    with pytest.raises(NotFoundError, match="source add"):
        store.sources.get("docs")


def test_threads_share_one_store(store: Store) -> None:
    """The server writes episodes while the worker runs a cycle."""

    def work(name: str) -> None:
        for i in range(10):
            store.episodes.add(episode(f"{name}-{i}"))
            store.versions.live()

    threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    number = store.cycles.start({}).number
    for thread in threads:
        thread.join(30)
    assert len(store.episodes.list(100)) == 60
    assert store.cycles.get(number).number == number


def test_a_store_opened_again_has_everything(store: Store) -> None:
    store.episodes.add(episode("e"))
    store.close()
    with Store.open(store.home) as again:
        assert again.episodes.get("e") == episode("e")
