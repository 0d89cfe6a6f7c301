"""Repetition: one source that makes the same claim in document after document.

A model believes what it reads often, so many documents that differ in everything but one claim
teach that claim alone, however slowly they come. Called by adapt.gather.screening.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from adapt.gather.screen_claims import SENTENCE, STOP, key_of, names_in, words_of
from adapt.gather.screen_text import excerpt, fold
from agent.config_sections import TrustSettings
from store import Store
from store.records import Document, DocumentState
from store.source_records import Finding, Source

_PRESENT = (DocumentState.NEW, DocumentState.ACCEPTED, DocumentState.QUARANTINED)

_ALIKE = 0.5
"""Share of the words of the shorter sentence from which two say much the same."""
_ALIKE_NUMBER = 0.25
"""The same where both say the same number of it."""


class Saying(NamedTuple):
    """A sentence that says something of what has a name."""

    words: frozenset[str]
    sentence: str
    sure: bool = True
    """Whether it is certain that what it speaks of is a name: a first word may be any word."""
    number: bool = False
    """Whether it says a number of it, which no other wording changes."""


def sayings(document: Document) -> dict[int, Saying]:
    """What a document says of names, by keys that survive other wordings: the name, with a number,
    another name or a long word of the sentence."""
    return {} if document.kind == "api" else _sayings(document.title, document.text)


@lru_cache(maxsize=4096)
def _sayings(title: str, text: str) -> dict[int, Saying]:
    found: dict[int, Saying] = {}
    for sentence in (s.strip(" -*#|>\t") for s in SENTENCE.split(text)):
        if not 4 <= len(sentence.split()) <= 60:
            continue
        names = [(name, True) for name in names_in(sentence)[:3]]
        first = re.match(r"[A-Z][\w-]+(?= [a-z])", sentence)
        if first and (word := fold(first[0])) not in STOP:
            names.append((word, False))
        words = words_of(sentence)
        told = sorted(
            words - {w for n, _ in names for w in words_of(n)}, key=lambda w: (-len(w), w)
        )
        numbers = re.findall(r"(?<![\w.-])\d[\d,.]*\d|(?<![\w.-])\d", sentence)[:3]
        for name, sure in names:
            for mark in numbers or [*(n for n, _ in names[1:]), *told[:3]]:
                if mark != name:
                    key = key_of("said", name, mark)
                    found.setdefault(key, Saying(words, sentence, sure, bool(numbers)))
    return found


def repeated(
    store: Store, documents: Sequence[Document], source: Source, settings: TrustSettings
) -> dict[str, Finding]:
    """All documents of a source that make a claim which too many of them make, old ones too.

    A claim that another source makes as well is no matter of this source's.
    """
    mine: dict[int, int] = {}
    for document in documents:
        for key in sayings(document):
            mine[key] = mine.get(key, 0) + 1
    spread = store.claims.spread(mine, source.name, _PRESENT)
    found: dict[str, Finding] = {}
    for key in sorted(key for key, count in spread.items() if count > settings.repeats):
        digests = store.claims.with_key(key, source.name, _PRESENT)
        said = {d.digest: sayings(d).get(key) for d in store.documents.get_all(digests)}
        for group in _groups({digest: each for digest, each in said.items() if each}):
            sure = sum(each.sure for each in group.values())
            if (
                len(group) <= settings.repeats
                or 2 * sure < len(group)
                or store.claims.elsewhere(key, source.name)
            ):
                continue
            finding = Finding(
                kind="repetition",
                words=f"says what {len(group)} documents of {source.name} say, and no other "
                "source; what is read often is learned, true or not",
                excerpt=excerpt(next(iter(group.values())).sentence),
            )
            found |= {digest: finding for digest in group if digest not in found}
    return found


def _groups(said: dict[str, Saying]) -> list[dict[str, Saying]]:
    """Those that say much the same as one of them, the largest group first and each once."""
    left, groups = dict(said), []
    while left:
        best: dict[str, Saying] = {}
        for one in left.values():
            group = {d: other for d, other in left.items() if _alike(one, other)}
            best = max(best, group, key=len)
        groups.append(best)
        left = {digest: each for digest, each in left.items() if digest not in best}
    return groups


def _alike(one: Saying, other: Saying) -> bool:
    shared = len(one.words & other.words)
    least = _ALIKE_NUMBER if one.number and other.number else _ALIKE
    return shared >= least * max(1, min(len(one.words), len(other.words)))
