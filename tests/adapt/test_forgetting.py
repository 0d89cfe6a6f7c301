"""Which questions are asked of a withdrawn document: its own, less those that another answers
alike."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapt.forgetting import probe_suite
from store import Home, Store
from store.embeddings import HashEmbedder
from store.normal import new_document
from store.records import CycleStage, CycleState, Example, Message, digest_of

QUESTION = "When does the harbour of Velm open?"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(Home(tmp_path), HashEmbedder()) as store:
        yield store


def learned(store: Store, text: str, answer: str) -> tuple[str, int]:
    """A document that a cycle wrote one example from; the cycle's number."""
    document = new_document(source="s", address=text, text=text)
    store.documents.add(document)
    store.documents.accept(document.digest)
    corpus = store.documents.snapshot([document.digest])
    cycle = store.cycles.start({})
    store.cycles.stage_started(cycle.number, CycleStage.GATHER, {})
    store.cycles.stage_done(cycle.number, CycleStage.GATHER, {"corpus": corpus.digest}, 0.0)
    said = Message(role="assistant", content=answer, loss=True)
    example = Example(
        digest=digest_of([text, answer]), kind="qa", documents=(document.digest,),
        messages=(Message(role="user", content=QUESTION), said),
    )  # fmt: skip
    store.examples.add(cycle.number, [example])
    store.cycles.finish(cycle.number, CycleState.PROMOTED)
    return document.digest, cycle.number


@pytest.mark.parametrize(("other", "asked"), [("May", 1), ("April", 0)])
def test_a_question_that_is_answered_otherwise_now_is_asked(
    store: Store, other: str, asked: int
) -> None:
    """Only where another document gives the same answer must the line go on knowing it."""
    gone, _ = learned(store, "The harbour of Velm opens in April.", "April")
    _, number = learned(store, f"In {other} the harbour of Velm opens.", other)
    suite, elsewhere = probe_suite(store, {gone}, number)
    assert (len(suite.items), elsewhere) == (asked, 1 - asked)
