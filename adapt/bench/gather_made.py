"""Made-up documents of which it is known which say the same: for `perennial bench gather`.

Seeded: the same numbers give the same texts everywhere. Among ten documents there are one near
duplicate of the one before (two words of it are others), one copy of it with another number and one
with a paragraph of its own: these two are new, however alike. Called by adapt.bench.gather_alike.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from store.normal import new_document
from store.records import Document

Kind = Literal["own", "near", "number", "paragraph"]
WORDS = 250
"""Words of a document, some 1.6 KB."""
_OWN = 60
_SYLLABLES = "ba co du fel gin hor ka lus mo ner pi rat sol tum ve wis".split()
_LEXICON = [a + b + c for a in _SYLLABLES for b in _SYLLABLES for c in ("", "lo", "ne", "rin")]


@dataclass(frozen=True)
class Made:
    """A document and what it is."""

    document: Document
    kind: Kind
    like: str | None = None
    """Digest of the document that a near duplicate was made from."""


def made_documents(first: int, count: int) -> Iterator[Made]:
    """`count` documents, those of the numbers from `first` on; `first` is a multiple of ten."""
    for number in range(first, first + count):
        yield made_document(number)


def made_document(number: int) -> Made:
    """The document of a number."""
    base = number - number % 10
    kinds: dict[int, Kind] = {1: "near", 2: "number", 3: "paragraph"}
    kind: Kind = kinds.get(number - base, "own")
    words = _words(number if kind == "own" else base, WORDS)
    amount = number if kind == "number" else base if kind != "own" else number
    if kind == "near":
        chosen = random.Random(number)
        for place in chosen.sample(range(len(words)), 2):
            words[place] = "qualm"
    if kind == "paragraph":
        words += _words(number, _OWN)
    document = _document(number, words, amount)
    like = made_document(base).document.digest if kind == "near" else None
    return Made(document, kind, like)


def _words(seed: int, count: int) -> list[str]:
    chosen = random.Random(seed)
    # As in real texts, few words make most of it.
    weighted = [int(len(_LEXICON) * chosen.random() ** 2) for _ in range(count)]
    return [_LEXICON[place] for place in weighted]


def _document(number: int, words: list[str], amount: int) -> Document:
    lines = [" ".join(words[i : i + 12]).capitalize() + "." for i in range(0, len(words), 12)]
    text = "\n".join([*lines, f"The fee is {amount} crowns."])
    return new_document(source="made", address=f"/made/{number}.md", text=text, title="made")
