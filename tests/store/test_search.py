"""Search by vectors and words: what each finds, what may be found, and two indices that follow."""

import shutil
from collections.abc import Sequence

import pytest

from store.embeddings import HashEmbedder
from store.errors import PerennialError
from store.fusion import Place, fused
from store.keywords import KeywordIndex
from store.normal import new_document
from store.records import Document
from store.store import Store


def document(text: str, address: str = "a.md", title: str = "") -> Document:
    return new_document(source="folder", address=address, text=text, title=title)


def accepted(store: Store, text: str, address: str = "a.md", title: str = "") -> str:
    item = document(text, address, title)
    store.documents.take([item])
    store.documents.accept(item.digest)
    return item.digest


def found(store: Store, query: str, k: int = 9) -> list[str]:
    return [passage.document for passage in store.documents.search(query, k)]


class Blind(HashEmbedder):
    """All texts look the same to it."""

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return super().embed(["the same"] * len(texts))


def test_fusion_prefers_what_both_rankings_have() -> None:
    assert fused([["a", "b", "c"], ["d", "c"]]) == ["c", "a", "d", "b"]
    assert fused([["a"], ["b"]]) == ["a", "b"]
    assert fused([[], []]) == []


def test_words_find_what_vectors_cannot_tell_apart(store: Store) -> None:
    with Store.open(store.home, Blind()) as blind:
        texts = [f"Tariff {name} has a fee." for name in ("QX-11", "QX-12", "ZK-90", "AA-01")]
        digests = [accepted(blind, text, f"{i}.md") for i, text in enumerate(texts)]
        assert found(blind, "What of ZK-90?")[0] == digests[2]


def test_a_passage_says_where_it_is_from(store: Store) -> None:
    paragraphs = [f"The {name} ferry. " + "It runs daily. " * 40 for name in ("red", "blue")]
    accepted(store, "\n\n".join(paragraphs), "https://example.org/f.html", "Ferries")
    passage = store.documents.search("the blue ferry", k=1)[0]
    assert passage.address == "https://example.org/f.html"
    assert passage.title == "Ferries"
    assert passage.position > 0
    assert "blue" in passage.text


def test_signs_without_blanks_are_found(store: Store) -> None:
    wanted = accepted(store, "港口在四月开放。", "a.md")
    accepted(store, "山羊吃蓟。", "b.md")
    assert found(store, "四月")[0] == wanted


@pytest.mark.parametrize("query", ['"', "a OR", "x NEAR(y", "-", "*", "title: x", "\x00", "''--"])
def test_a_query_is_words_and_no_syntax(store: Store, query: str) -> None:
    accepted(store, "The harbour opens.")
    store.documents.search(query)


def test_each_index_follows_and_is_made_again(store: Store) -> None:
    """What another process accepts or withdraws, a lost file, an index that has too much."""
    first, second = accepted(store, "alpha beta", "a.md"), accepted(store, "alpha gamma", "b.md")
    assert sorted(found(store, "alpha")) == sorted([first, second])
    assert store.documents.differences().same
    with Store.open(store.home, HashEmbedder()) as other:
        other.documents.withdraw(first)
    difference = store.documents.differences()
    assert difference.extra == {"vectors": [first], "words": [first]}
    assert found(store, "alpha") == [second]
    assert store.documents.differences().same
    third = accepted(store, "alpha delta", "c.md")
    assert store.documents.differences().missing == {"vectors": [third], "words": [third]}
    store.documents.close()
    store.home.keywords.unlink()
    assert sorted(found(store, "alpha")) == sorted([second, third])
    assert store.documents.reindex() == 2
    assert store.documents.differences().same


def test_words_of_a_database_that_was_set_back_are_made_again(store: Store) -> None:
    accepted(store, "alpha")
    found(store, "alpha")
    store.documents.close()
    kept = store.home.path / "kept.db"
    shutil.copy(store.home.keywords, kept)
    late = accepted(store, "alpha beta", "b.md")
    found(store, "alpha")
    store.documents.close()
    # An older file goes on from where it was.
    shutil.copy(kept, store.home.keywords)
    assert late in found(store, "beta")
    words = KeywordIndex(store.home.keywords)
    with words.following():
        words.put("gone", "", ["beta of a database that is no more"])
        words.followed(1 << 40, "x")
    words.close()
    found(store, "beta")
    assert store.documents.differences().same


def test_what_is_held_back_is_not_found_while_the_index_is_behind(store: Store) -> None:
    """Nor does it take the place of what may be found."""
    many = [accepted(store, f"alpha number {word}", word) for word in "one two three".split()]
    assert len(found(store, "alpha")) == 3
    with store.documents._search._catching_up:  # as if another thread was at work
        store.documents.quarantine(many[0])
        store.documents.withdraw(many[1])
        assert found(store, "alpha", k=1) == [many[2]]


def test_a_damaged_file_of_words_is_named(store: Store) -> None:
    store.home.keywords.write_bytes(b"no database at all " * 100)
    with pytest.raises(PerennialError, match=r"keywords\.db failed") as caught:
        store.documents.search("x")
    assert "made again" in caught.value.hint


def test_keywords_in_memory_rank_by_rarity() -> None:
    words = KeywordIndex()
    words.put("a", "weather", ["rain and sun today", "the rain in May"])
    words.put("b", "tables", ["book a table today"])
    assert words.search("table today", 1) == [Place("b", 0)]
    assert words.search("the in and", 2)[0].document == "a"
    words.drop("b")
    assert words.counts() == {"a": 2}
    words.close()
