"""Contradiction of what more trusted documents say, and changed copies of them.

Who speaks of the same is found by the keys of claims; what is said of it is compared here, by rule:
facts and APIs by their values, figures where the sentence around them is much the same, copies
sentence by sentence. What says the opposite in quite other words is not seen. A document may also
come before the more trusted one that it contradicts, so both sides are looked at. Called by
adapt.gather.screening.
"""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import islice

from adapt.gather.screen_claims import Claim, claims_of, subject_of
from adapt.gather.screen_text import excerpt
from store import Store
from store.records import Document
from store.source_records import Finding

CANDIDATES = 12
"""Documents that one document is compared with: those that share most keys with it."""
_ALIKE = 0.6
"""Share of words in common from which two sentences say something of the same thing."""
_COPY = 0.5
"""Share of the sampled sentences in common from which a document is a copy."""
_COPIED = 3
_CLOSE = 0.6
"""Likeness of a sentence to one of the copied text from which it is that one, changed."""
_WHY = "what more trusted documents say goes before; learned, the model would say the other"


def find(
    store: Store, documents: Sequence[Document]
) -> Iterator[tuple[Document, Document, Finding]]:
    """Who contradicts whom: the less trusted document, the more trusted one, and what.

    `documents` are new; the others are accepted ones, of more trust or of less.
    """
    for document in documents:
        keys = {claim.key for claim in claims_of(document)}
        above = store.claims.sharing(keys, above=document.trust)
        for other in _read(store, above.most_common(CANDIDATES)):
            if finding := contradiction(document, other):
                yield document, other, finding
                break
        below = store.claims.sharing(keys, below=document.trust)
        for other in _read(store, below.most_common(CANDIDATES)):
            if finding := contradiction(other, document):
                yield other, document, finding
    yield from _among(documents)


def _among(documents: Sequence[Document]) -> Iterator[tuple[Document, Document, Finding]]:
    """Among new documents of different trust, which are not accepted yet."""
    if len({document.trust for document in documents}) < 2:
        return
    by_key: dict[int, list[Document]] = {}
    for document in documents:
        for key in {claim.key for claim in claims_of(document)}:
            by_key.setdefault(key, []).append(document)
    for document in documents:
        others = {
            other.digest: other
            for claim in claims_of(document)
            for other in by_key[claim.key]
            if other.trust > document.trust
        }
        for other in islice(others.values(), CANDIDATES):
            if finding := contradiction(document, other):
                yield document, other, finding
                break


def _read(store: Store, counted: Sequence[tuple[str, int]]) -> list[Document]:
    return store.documents.get_all([digest for digest, _ in counted])


def contradiction(document: Document, trusted: Document) -> Finding | None:
    """What in a document is against a more trusted one; None where nothing is."""
    told: dict[int, list[Claim]] = {}
    for claim in claims_of(trusted):
        told.setdefault(claim.key, []).append(claim)
    own, theirs = subject_of(document.title), subject_of(trusted.title)
    about_same = not own or not theirs or bool(set(own) & set(theirs))
    for claim in claims_of(document):
        said = told.get(claim.key, [])
        if claim.kind == "figure":
            if any(other.value == claim.value for other in said) or not about_same:
                continue
            said = [other for other in said if _same_thing(claim, other)]
        if said and claim.kind != "sentence" and all(o.value != claim.value for o in said):
            best = max(said, key=lambda other: _alike(claim, other))
            words = f"says {excerpt(claim.sentence)!r}, where {_named(trusted)} says"
            return _finding(f"{words} {excerpt(best.sentence)!r}", claim.sentence)
    return _changed_copy(document, trusted)


def _same_thing(claim: Claim, other: Claim) -> bool:
    return len(claim.words & other.words) >= 2 and _alike(claim, other) >= _ALIKE


def _alike(claim: Claim, other: Claim) -> float:
    """Words in common, of the words of the shorter sentence."""
    if not claim.words or not other.words:
        return float(claim.words == other.words)
    return len(claim.words & other.words) / min(len(claim.words), len(other.words))


def _changed_copy(document: Document, trusted: Document) -> Finding | None:
    """A text that is the trusted one but for some sentences: those were changed or put in."""
    if document.kind == "api" or trusted.kind == "api":
        return None
    own = {c.key for c in claims_of(document) if c.kind == "sentence"}
    theirs = {c.key for c in claims_of(trusted) if c.kind == "sentence"}
    shared = len(own & theirs)
    if shared < _COPIED or shared < _COPY * min(len(own), len(theirs)):
        return None
    mine, others = _lines(document.text), _lines(trusted.text)
    known = set(others)
    new = [line for line in mine if line not in known]
    if not new or len(new) > (1 - _COPY) * len(mine):
        return None
    for line in new:
        close = max(others, key=lambda other: SequenceMatcher(None, line, other).ratio())
        if SequenceMatcher(None, line, close).ratio() >= _CLOSE:
            words = f"copies {_named(trusted)}, but says {excerpt(line)!r} for {excerpt(close)!r}"
            return _finding(words, line)
    return _finding(f"copies {_named(trusted)}, with {excerpt(new[0])!r} put in", new[0])


def _lines(text: str) -> list[str]:
    return [
        " ".join(c.split()) for line in text.splitlines() for c in line.split(". ") if c.strip()
    ]


def _named(document: Document) -> str:
    return f"{document.title!r} of {document.source} ({document.digest[:12]})"


def _finding(words: str, seen: str) -> Finding:
    return Finding(kind="contradiction", words=f"{words}; {_WHY}", excerpt=excerpt(seen))
