"""Taking documents in: what is new, known, a duplicate or an edition, also between processes."""

import multiprocessing
import random
from collections.abc import Sequence

import pytest

from store.database import Database
from store.document_rows import known_digests
from store.duplicates import OWN, groups_of, same_text
from store.errors import DocumentError, NotFoundError, StateError
from store.home import Home
from store.normal import language_of, new_document, normalised
from store.records import Document, DocumentState, digest_of
from store.store import Store
from store.taking import Taking

WORDS = "balar bamis coten covor dular dumis feten fevor gilar gimis hoten hovor kalar".split()


def prose(seed: int, words: int = 200) -> str:
    """Lower-case text without numbers, the same for the same seed."""
    pick = random.Random(seed)
    return " ".join(pick.choice(WORDS) + pick.choice(WORDS) for _ in range(words))


def doc(text: str, address: str = "a.md", source: str = "folder", **fields: str) -> Document:
    return new_document(source=source, address=address, text=text, **fields)  # type: ignore[arg-type]


def take(store: Store, *documents: Document) -> None:
    """Take them in and accept what is new."""
    for digest in store.documents.take(documents).new:
        store.documents.accept(digest)


def test_texts_that_read_alike_have_one_digest() -> None:
    plain = "Café table 4.\nSecond line."
    for other in (
        "\ufeffCafe\u0301 table 4.  \r\nSecond line.\n\n",
        "Caf\u00e9 table 4.\rSecond\x07 line.\x1b",
        f"\n\n{plain}\n",
    ):
        assert normalised(other) == plain
        assert doc(other).digest == doc(plain).digest == digest_of(["prose", plain])
    assert normalised(normalised(plain)) == plain
    assert normalised("half \ud83d and whole \ud83d\ude00").endswith("whole \U0001f600")


@pytest.mark.parametrize("text", ["", " \n\t\n", "\ufeff", "\x01\x02", "a\0b"])
def test_what_holds_no_text_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        doc(text)


def test_a_document_has_a_title_and_a_language() -> None:
    german = "Die Fähre nach Velm fährt im Sommer jeden Tag um acht Uhr vom alten Hafen ab."
    assert doc(f"## The ferry\n{german}").title == "The ferry"
    assert doc(german, "https://example.org/a/F%C3%A4hre.html?x=1").title == "Fähre"
    assert doc(german, title=" A\n title ").title == "A title"
    assert doc(german).language == "de"
    assert language_of("The ferry to Velm leaves the old harbour every day at eight.") == "en"
    assert language_of("Velm 12") is None


def test_an_api_is_named_by_its_json_whatever_its_order() -> None:
    one = doc('{"tool_name": "ferry", "api_list": [{"name": "a\\u2028b"}]}', kind="api")
    two = doc('{"api_list":[{"name":"a\\u2028b"}],\n"tool_name":"ferry"}', kind="api")
    assert one.digest == two.digest
    assert one.title == "ferry"
    with pytest.raises(DocumentError, match="JSON"):
        doc("{broken", kind="api")


def test_new_known_and_repeated_documents_are_told_apart(store: Store) -> None:
    first, second = doc(prose(1)), doc(prose(2), "b.md")
    taken = store.documents.take([first, second, first])
    assert (taken.new, taken.known, taken.near) == ((first.digest, second.digest), (), {})
    assert store.documents.get(first.digest) == first
    again = store.documents.take([second, doc(prose(3), "c.md")])
    assert again.known == (second.digest,)
    assert len(again.new) == 1
    assert store.documents.take([]).new == ()


def test_a_near_duplicate_is_stored_and_not_learned(store: Store) -> None:
    """Found in the same call, in a later one, and in one by another process."""
    text = prose(1, 300)
    first = doc(text)
    copies = [doc(f"{text} {word}", f"{word}.md") for word in ("alpha", "beta")]
    assert store.documents.take([first, copies[0]]).near == {copies[0].digest: first.digest}
    with Store.open(store.home, store.embedder) as other:
        assert other.documents.take([copies[1]]).near == {copies[1].digest: first.digest}
    for copy in copies:
        assert store.documents.get(copy.digest).state is DocumentState.DUPLICATE
        found = store.documents.duplicate_of(copy.digest)
        assert found
        assert found.of == first.digest
        assert 0.98 < found.similarity < 1.0
        with pytest.raises(StateError, match="duplicate"):
            store.documents.snapshot([copy.digest])
    assert {d.document for d in store.documents.duplicates_of(first.digest)} == {
        copy.digest for copy in copies
    }
    store.documents.accept(first.digest)
    assert {p.document for p in store.documents.search("alpha beta", k=9)} == {first.digest}


def test_other_numbers_are_no_duplicate(store: Store) -> None:
    """A changed price must be learned, however alike the rest is."""
    text = prose(1, 400)
    given = [doc(f"{text} the fee is {fee} crowns", f"{fee}.md") for fee in (30, 35, 40)]
    assert len(store.documents.take(given).new) == 3
    prices = [doc(f"{text} {a} for one {b} for two", f"{a}{b}") for a, b in ((1, 2), (2, 1))]
    assert len(store.documents.take(prices).new) == 2


def test_a_paragraph_of_its_own_is_no_duplicate(store: Store) -> None:
    long, more = prose(1, 2000), prose(2, OWN + 10)
    taken = store.documents.take([doc(long), doc(f"{long} {more}", "b.md")])
    assert len(taken.new) == 2
    # The other way round nothing would be lost.
    assert same_text(groups_of(long), groups_of(f"{long} {more}"), 0.9)


def test_apis_are_never_near_duplicates(store: Store) -> None:
    words = prose(1, 300)
    given = [
        doc(f'{{"tool_name": "{name}", "tool_description": "{words}"}}', name, kind="api")
        for name in ("ferry", "train")
    ]
    assert len(store.documents.take(given).new) == 2


def test_a_new_text_of_the_same_address_is_an_edition(store: Store) -> None:
    """Not a duplicate of the one before, even within one call; history and difference are kept."""
    text = prose(1, 300)
    first, second, third = (doc(f"{text}\nopen on {day}") for day in ("monday", "friday", "sunday"))
    take(store, first)
    take(store, second, third)
    take(store, third)
    take(store, first)
    editions = store.editions.of("folder", "a.md")
    assert [e.number for e in editions] == [1, 2, 3, 4]
    assert [e.document for e in editions] == [d.digest for d in (first, second, third, first)]
    assert [e.number for e in store.editions.of_document(first.digest)] == [1, 4]
    lines = store.editions.difference("folder", "a.md", 1, 3).splitlines()
    assert lines[0] == "--- a.md (edition 1)"
    assert lines[-2:] == ["-open on monday", "+open on sunday"]
    assert store.editions.difference("folder", "a.md", 1, 4) == ""
    with pytest.raises(NotFoundError, match="no edition 7"):
        store.editions.difference("folder", "a.md", 1, 7)
    assert store.editions.of("folder", "b.md") == []
    assert len(store.documents.list(DocumentState.ACCEPTED)) == 3


def test_what_is_held_back_keeps_out_nothing_that_is_like_it(store: Store) -> None:
    """Else a harmful copy that came first would keep out the text it was made from."""
    text = prose(1, 300)
    harmful, clean, late = doc(f"{text} obey"), doc(text, "b.md"), doc(f"{text} amen", "c.md")
    assert store.documents.take([harmful, clean]).near == {clean.digest: harmful.digest}
    store.documents.quarantine(harmful.digest)
    assert store.documents.get(clean.digest).state is DocumentState.NEW
    assert store.documents.duplicate_of(clean.digest) is None
    store.documents.quarantine(clean.digest)
    assert store.documents.take([late]).new == (late.digest,)


def test_what_says_what_was_withdrawn_stays_out(store: Store) -> None:
    text = prose(1, 300)
    first, copy, late = doc(text), doc(f"{text} alpha", "b.md"), doc(f"{text} beta", "c.md")
    take(store, first, copy)
    store.documents.withdraw(first.digest)
    assert store.documents.get(copy.digest).state is DocumentState.DUPLICATE
    assert store.documents.take([late]).near == {late.digest: first.digest}
    store.documents.accept(late.digest)
    assert store.documents.duplicate_of(late.digest) is None


def test_the_threshold_is_the_callers(store: Store) -> None:
    one, other = prose(1, 100).split(), prose(2, 10).split()
    changed = doc(" ".join([*one[:95], *other[:5]]), "b.md")
    assert store.documents.take([doc(" ".join(one))]).new
    assert store.documents.take([changed], near=0.99).new
    again = doc(" ".join([*one[:94], *other[:6]]), "c.md")
    assert list(store.documents.take([again], near=0.5).near) == [again.digest]


def _take_all(url_or_path: str, texts: Sequence[str]) -> None:
    database = Database(url_or_path, wait=60)
    taking = Taking(database)
    for start in range(0, len(texts), 5):
        documents = [doc(t, f"{digest_of(t)[:8]}.md") for t in texts[start : start + 5]]
        taking.take(documents, 0.9)
    database.close()


def test_processes_that_take_at_once_find_each_others_duplicates(home: Home) -> None:
    """Of each pair of texts, given to two processes, one is new and one its duplicate."""
    texts = [prose(n, 150) for n in range(20)]
    halves = [texts, [f"{text} alpha" for text in texts]]
    with Store.open(home) as store:
        place = home.database_url or str(home.database)
        spawn = multiprocessing.get_context("spawn")
        takers = [spawn.Process(target=_take_all, args=(place, half)) for half in halves]
        for taker in takers:
            taker.start()
        for taker in takers:
            taker.join(300)
        assert [taker.exitcode for taker in takers] == [0, 0]
        assert len(store.documents.digests(DocumentState.NEW)) == 20
        pairs = [store.documents.duplicate_of(d) for d in store.documents.digests()]
        assert sum(pair is not None for pair in pairs) == 20
        with store.database.read() as db:
            assert len(known_digests(db, [pair.of for pair in pairs if pair])) == 20
