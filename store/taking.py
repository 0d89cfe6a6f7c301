"""Taking texts in: what is new is stored, what is known or says what is known is told apart.

A near duplicate is stored as what it is (state `duplicate`), with what it is one of, and is neither
searched nor learned from. An earlier text of the same address makes none: that is a new edition,
and what it changes is what there is to learn. Whether a new text may be learned is judged
afterwards, by adapt/gather. Called by store/documents.py.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from store.database import Database
from store.document_rows import SCAN, chunks, known_digests, write_documents
from store.duplicates import Buckets, Groups, groups_of, same_text, sketch_of
from store.editions import Past, read_pasts, write_editions
from store.records import Document, DocumentState
from store.tables import documents, near_duplicates, reviews, sketches, unpack

_LOOKED_AT = 16
"""Most stored texts that one new text is compared with word by word."""


@dataclass(frozen=True)
class Taken:
    """What became of the documents that were given, by their digests."""

    new: tuple[str, ...]
    """Stored now, to be judged: in state NEW."""
    known: tuple[str, ...]
    """Stored before, in whatever state."""
    near: dict[str, str]
    """Stored now as duplicates: the digest of the document that says the same."""


@dataclass(frozen=True)
class _Draft:
    """A document that is not stored yet, as what is compared of it."""

    document: Document
    groups: Groups
    sketch: str
    """Empty where there is nothing to compare: an API, a text without words."""


@dataclass(frozen=True)
class _Same:
    """Which document says the same, and how much of both is in common."""

    digest: str
    similarity: float


class Taking:
    """Takes in documents. Any number of threads and processes may: writers take turns."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = threading.Lock()
        self._buckets: Buckets | None = None

    def take(self, given: Sequence[Document], near: float) -> Taken:
        """Store those that are new and note where all of them were seen, in one transaction.

        They come from store.normal.new_document; some hundreds at a time. `near` is the Jaccard
        similarity from which a text counts as one that is known.
        """
        first: dict[str, Document] = {}
        for document in given:
            first.setdefault(document.digest, document)
        with self._database.read() as db:
            known = known_digests(db, first)
        # Before the transaction: others would wait for what only this process's processor does.
        drafts = [_draft(d) for digest, d in first.items() if digest not in known]
        with self._turn, self._database.begin() as db:
            known |= known_digests(db, [draft.document.digest for draft in drafts])
            drafts = [draft for draft in drafts if draft.document.digest not in known]
            pasts = read_pasts(db, [(d.source, d.address) for d in given])
            same = self._compare(db, drafts, pasts, near)
            _write(db, drafts, same)
            write_editions(db, given, pasts)
        return Taken(
            new=tuple(d.document.digest for d in drafts if d.document.digest not in same),
            known=tuple(digest for digest in first if digest in known),
            near={digest: found.digest for digest, found in same.items()},
        )

    def _compare(
        self,
        db: Connection,
        drafts: Sequence[_Draft],
        pasts: dict[tuple[str, str], Past],
        near: float,
    ) -> dict[str, _Same]:
        """Those that say what a stored one says, or an earlier one of `drafts`."""
        compared = [draft for draft in drafts if draft.sketch]
        if not compared:
            return {}
        buckets = self._caught_up(db, near)
        keys = buckets.keys([draft.sketch for draft in compared])
        found = [sorted(numbers)[:_LOOKED_AT] for numbers in buckets.find(keys)]
        stored = _read(db, {number for numbers in found for number in numbers})
        same: dict[str, _Same] = {}
        beside: dict[int, list[_Draft]] = {}
        for draft, numbers, row in zip(compared, found, keys.tolist(), strict=True):
            document = draft.document
            others = {stored[n].document.digest: stored[n] for n in numbers if n in stored}
            for key in row:
                for other in beside.get(key, [])[:_LOOKED_AT]:
                    others.setdefault(other.document.digest, other)
            earlier = pasts[document.source, document.address].documents
            best = _best(draft, [o for digest, o in others.items() if digest not in earlier], near)
            if best:
                same[document.digest] = best
                continue
            for key in row:
                beside.setdefault(key, []).append(draft)
            # A second text of this address in the same visit is an edition as well.
            earlier.add(document.digest)
        return same

    def _caught_up(self, db: Connection, near: float) -> Buckets:
        """The buckets with every sketch that is stored: other processes store some too."""
        buckets = self._buckets
        if buckets is None or buckets.near != near:
            buckets = self._buckets = Buckets(near)
        query = select(sketches.c.number, sketches.c.sketch).order_by(sketches.c.number)
        while rows := db.execute(query.where(sketches.c.number > buckets.last).limit(SCAN)).all():
            buckets.add((row.number for row in rows), [row.sketch for row in rows])
        return buckets


def _draft(document: Document) -> _Draft:
    # Two APIs that differ in one word are two APIs, and a text without words is like no other.
    groups = groups_of(document.text if document.kind == "prose" else "")
    return _Draft(document, groups, sketch_of(groups) if len(groups.hashes) else "")


def _best(draft: _Draft, others: Sequence[_Draft], near: float) -> _Same | None:
    """The most similar of the others that says all that the draft says; the first of equals."""
    best: _Same | None = None
    for other in others:
        similarity = same_text(draft.groups, other.groups, near)
        if similarity is not None and (best is None or similarity > best.similarity):
            best = _Same(other.document.digest, similarity)
    return best


def _read(db: Connection, numbers: set[int]) -> dict[int, _Draft]:
    """Stored documents by the numbers of their sketches, less those that are held back, or that a
    person has refused: a harmful copy that came first would keep out the text it was made from."""
    found: dict[int, _Draft] = {}
    both = sketches.join(documents, sketches.c.digest == documents.c.digest).outerjoin(
        reviews, reviews.c.document == documents.c.digest
    )
    columns = (sketches.c.number, documents.c.record, documents.c.state, reviews.c.decision)
    query = select(*columns).select_from(both)
    for some in chunks(sorted(numbers)):
        for row in db.execute(query.where(sketches.c.number.in_(some))):
            if row.state == DocumentState.QUARANTINED or row.decision == "withdrawn":
                continue
            document = unpack(Document, row.record, state=row.state)
            found[row.number] = _Draft(document, groups_of(document.text), "")
    return found


def _write(db: Connection, drafts: Sequence[_Draft], same: dict[str, _Same]) -> None:
    states = {
        draft.document.digest: DocumentState.DUPLICATE
        if draft.document.digest in same
        else DocumentState.NEW
        for draft in drafts
    }
    write_documents(
        db,
        [d.document.model_copy(update={"state": states[d.document.digest]}) for d in drafts],
    )
    # No sketch of a duplicate: what is like it is like what it is a duplicate of, or else is new.
    sketched = [d for d in drafts if d.sketch and d.document.digest not in same]
    if sketched:
        rows = [{"digest": d.document.digest, "sketch": d.sketch} for d in sketched]
        db.execute(insert(sketches), rows)
    if same:
        db.execute(
            insert(near_duplicates),
            [
                {"document": digest, "of": found.digest, "similarity": found.similarity}
                for digest, found in same.items()
            ],
        )
