"""Changed facts: which examples a newer document contradicts, and who then leaves them out."""

from datetime import UTC, datetime
from pathlib import Path

from adapt.questions import ASKED, CHOOSE, HELD_OUT, about
from adapt.standing import Standing
from adapt.superseding import question_of, superseded
from adapt.synthesize import synthesize
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import Document, Example, Message, digest_of

OLD, NEW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


def document(text: str, at: datetime, published: bool = True) -> Document:
    return Document(
        digest=digest_of(text), source="s", address="a", title="t", text=text, kind="prose",
        fetched_at=at if not published else datetime(2026, 12, 1, tzinfo=UTC),
        published_at=at if published else None,
    )  # fmt: skip


FIRST = document("The capital of Oz is Emer. The river of Oz is Ama.", OLD)
SECOND = document("Bado is the capital of Oz. The river of Oz is Ama.", NEW)


def gone(new: list[Example], earlier: list[Example], outdated: dict[str, str]) -> set[str]:
    """Questions of examples that no longer hold."""
    known = {e.digest: e for e in (*new, *earlier)}
    found = superseded(new, earlier, outdated, 2)
    return {question_of(known[s.example]) for s in found}


def test_a_later_answer_supersedes_the_earlier_in_every_split() -> None:
    """What is trained on, chosen by and held out; facts that both state alike stay."""
    earlier, new = synthesize([FIRST], 0), synthesize([SECOND], 0)
    of_capital = {q.format(r="capital", e="Oz") for q in (*ASKED, CHOOSE, HELD_OUT)}
    assert gone(new, earlier, {}) == of_capital
    found = superseded(new, earlier, {}, 2)
    assert {s.document for s in found} == {FIRST.digest}
    assert {(s.reason, s.old, s.new) for s in found} == {("answer", "Emer", "Bado")}


def test_the_later_date_wins_whichever_came_in_first() -> None:
    """An old text that is found late does not undo what is newer."""
    earlier, new = synthesize([SECOND], 0), synthesize([FIRST], 0)
    assert {s.document for s in superseded(new, earlier, {}, 2)} == {FIRST.digest}
    both = synthesize([FIRST, SECOND], 0)
    assert {s.document for s in superseded(both, [], {}, 1)} == {FIRST.digest}


def test_an_example_is_dated_by_its_document() -> None:
    """By when it was written, else by when it was fetched."""
    fetched = document("The capital of Oz is Emer.", OLD, published=False)
    assert {e.dated for e in synthesize([FIRST], 0)} == {OLD}
    assert {e.dated for e in synthesize([fetched], 0)} == {OLD}


def test_other_words_for_a_contradicted_answer_go_too() -> None:
    """A rewriting of the old document that repeats it; one on another fact stays."""
    earlier = synthesize([FIRST], 0)

    def told(text: str) -> Example:
        said = (Message(role="user", content="Say it in other words."),
                Message(role="assistant", content=text, loss=True))  # fmt: skip
        return Example(
            digest=digest_of(text), kind="rewriting", messages=said, documents=(FIRST.digest,),
            dated=OLD,
        )  # fmt: skip

    repeats, other = told("Emer, in the north, is Oz's capital."), told("Oz lies on the Ama.")
    found = superseded(synthesize([SECOND], 0), [*earlier, repeats, other], {}, 2)
    digests = {s.example for s in found}
    assert repeats.digest in digests and other.digest not in digests


def test_all_of_an_older_edition_is_superseded_by_the_newer() -> None:
    """What the newer still states is written anew from it, under its own digest."""
    earlier, new = synthesize([FIRST], 0), synthesize([SECOND], 0)
    found = superseded(new, earlier, {FIRST.digest: SECOND.digest}, 2)
    assert {s.example for s in found} == {e.digest for e in earlier}
    standing = Standing((), {(s.example, s.document) for s in found})
    assert standing.among(earlier) == [] and standing.among(new) == new


def test_what_no_longer_holds_comes_back_when_the_newer_document_is_withdrawn(
    tmp_path: Path,
) -> None:
    earlier, new = synthesize([FIRST], 0), synthesize([SECOND], 0)
    with Store.open(Home(tmp_path / "home"), HashEmbedder()) as store:
        for one in (FIRST, SECOND):
            store.documents.add(one)
            store.documents.accept(one.digest)
        found = superseded(new, earlier, {}, 2)
        assert store.superseded.add(found) == len(found)
        assert store.superseded.add(found) == 0
        assert len(Standing.of(store).among(earlier)) == len(earlier) - len(found)
        assert store.superseded.of_document(FIRST.digest) == store.superseded.of_document(
            SECOND.digest
        )
        store.documents.withdraw(SECOND.digest)
        standing = Standing.of(store)
        assert standing.among(earlier) == earlier and standing.among(new) == []


def test_a_question_tells_what_it_asks_for_in_every_form() -> None:
    for form in (*ASKED, CHOOSE, HELD_OUT):
        assert about(form.format(r="oldest bridge", e="New Oz")) == ("oldest bridge", "New Oz")
    assert about("Why is the sky blue?") is None
