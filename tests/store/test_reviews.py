"""Reviews: what is held waits for a person, who decides once and says why."""

import pytest

from store.errors import NotFoundError, StateError, UserError
from store.normal import new_document
from store.records import Document, DocumentState
from store.source_records import Finding
from store.store import Store

FINDING = Finding(kind="instruction", words="speaks to a model", excerpt="dear model")
OTHER = Finding(kind="volume", words="came with many")


def put(store: Store, text: str, state: DocumentState = DocumentState.NEW) -> Document:
    document = new_document(source="web", address=f"web/{text}", text=text)
    store.documents.add(document.model_copy(update={"state": state}))
    return document


def test_a_held_document_waits_with_its_reasons_and_is_not_found(store: Store) -> None:
    document = put(store, "the ferry sails at noon", DocumentState.ACCEPTED)
    assert store.documents.search("ferry")
    assert store.reviews.hold({document.digest: [FINDING]}) == [document.digest]
    assert store.documents.get(document.digest).state is DocumentState.QUARANTINED
    assert store.documents.search("ferry") == []
    assert [r.findings for r in store.reviews.list()] == [(FINDING,)]
    assert store.reviews.count_waiting() == 1


def test_held_again_it_gets_the_findings_that_it_lacks(store: Store) -> None:
    document = put(store, "a text")
    store.reviews.hold({document.digest: [FINDING]})
    assert store.reviews.hold({document.digest: [FINDING, OTHER]}) == []
    assert store.reviews.get(document.digest).findings == (FINDING, OTHER)


def test_what_is_accepted_is_searched_and_is_not_held_again(store: Store) -> None:
    """The same rule would hold it at every visit, and a person would decide for ever."""
    document = put(store, "the ferry sails at noon")
    store.reviews.hold({document.digest: [FINDING]})
    done = store.reviews.decide(document.digest, "accepted", why="ours", by="ada")
    assert (done.decided_by, done.reason) == ("ada", "ours")
    assert [p.document for p in store.documents.search("ferry")] == [document.digest]
    assert store.reviews.hold({document.digest: [FINDING]}) == []
    assert store.documents.get(document.digest).state is DocumentState.ACCEPTED
    assert store.reviews.list() == [] and len(store.reviews.list(waiting=False)) == 1


def test_a_decision_is_made_once_and_with_a_reason(store: Store) -> None:
    document = put(store, "a text")
    store.reviews.hold({document.digest: [FINDING]})
    with pytest.raises(UserError, match="reason"):
        store.reviews.decide(document.digest, "withdrawn", why=" ", by="ada")
    store.reviews.decide(document.digest, "withdrawn", why="poison", by="ada")
    assert store.documents.get(document.digest).state is DocumentState.WITHDRAWN
    with pytest.raises(StateError, match="withdrawn by ada: poison"):
        store.reviews.decide(document.digest, "accepted", why="no", by="bob")


def test_nothing_is_held_when_one_of_them_is_not_there(store: Store) -> None:
    document = put(store, "a text")
    with pytest.raises(NotFoundError):
        store.reviews.hold({document.digest: [FINDING], "f" * 64: [FINDING]})
    assert store.documents.get(document.digest).state is DocumentState.NEW
    assert store.reviews.list() == []


def test_a_document_is_named_by_the_beginning_of_its_digest(store: Store) -> None:
    document = put(store, "a text")
    store.reviews.hold({document.digest: [FINDING]})
    assert store.reviews.find(document.digest[:8]) == document.digest
    for wrong in ("zz", ""):
        with pytest.raises(NotFoundError, match="no held document"):
            store.reviews.find(wrong)


def test_claims_are_found_by_trust_and_only_while_accepted(store: Store) -> None:
    one = put(store, "one", DocumentState.ACCEPTED)
    two = put(store, "two", DocumentState.ACCEPTED)
    store.claims.add({one.digest: (1.0, [5, -(2**63)]), two.digest: (0.5, [5])})
    assert store.claims.sharing([5, -(2**63)], above=0.5) == {one.digest: 2}
    assert store.claims.sharing([5], below=1.0) == {two.digest: 1}
    assert store.claims.spread([5, 6], "web", [DocumentState.ACCEPTED]) == {5: 2}
    assert not store.claims.elsewhere(5, "web") and store.claims.elsewhere(5, "feed")
    store.reviews.hold({one.digest: [FINDING]})
    assert store.claims.sharing([5], above=0.5) == {}
