"""Examples that no longer hold, since a newer document says otherwise. Written once, never changed.

What counts as saying otherwise is adapt.superseding's business. Called by the stage that writes
examples, and by all that choose examples to train on or to ask.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, insert, or_, select

from store.database import Database
from store.document_rows import chunks
from store.records import DocumentState, Record
from store.tables import documents, editions, pack, superseded, unpack


class Supersession(Record):
    """One example of an older document, and the newer document that says otherwise."""

    example: str
    document: str
    """The older document, from which the example was written."""
    newer: str
    """The newer one. While it is not accepted the example holds."""
    reason: Literal["edition", "answer"]
    """`edition`: it is the newer text of the same address. `answer`: it answers the same question
    otherwise."""
    question: str = ""
    old: str = ""
    """What the example answers."""
    new: str = ""
    """What the newer document answers; empty for an edition, which may say nothing of it."""
    cycle: int
    found_at: datetime


class Superseded:
    """The table of supersessions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, found: Iterable[Supersession]) -> int:
        """Store those that are not stored yet, all or none; how many were new."""
        new = {(s.example, s.document, s.newer): s for s in found}
        with self._database.begin() as db:
            newer = list({s.newer for s in new.values()})
            for some in chunks(newer):
                keys = select(superseded.c.example, superseded.c.document, superseded.c.newer)
                for row in db.execute(keys.where(superseded.c.newer.in_(some))):
                    new.pop((row.example, row.document, row.newer), None)
            if new:
                rows = [
                    {"example": s.example, "document": s.document, "newer": s.newer,
                     "cycle": s.cycle, "record": pack(s)}
                    for s in new.values()
                ]  # fmt: skip
                db.execute(insert(superseded), rows)
        return len(new)

    def pairs(self) -> set[tuple[str, str]]:
        """(example, document) of all that are superseded now: by a document that is accepted."""
        query = (
            select(superseded.c.example, superseded.c.document)
            .join(documents, documents.c.digest == superseded.c.newer)
            .where(documents.c.state == DocumentState.ACCEPTED)
        )
        with self._database.read() as db:
            return {(row.example, row.document) for row in db.execute(query)}

    def of_document(self, digest: str) -> list[Supersession]:
        """All that a document superseded, or whose examples were superseded by another one."""
        either = or_(superseded.c.document == digest, superseded.c.newer == digest)
        query = select(superseded.c.record).where(either)
        order = (superseded.c.cycle, superseded.c.example, superseded.c.newer)
        with self._database.read() as db:
            return [unpack(Supersession, row) for row in db.scalars(query.order_by(*order))]

    def outdated(self, of: Collection[str]) -> dict[str, str]:
        """Older editions at the addresses of these documents: each with the newest edition.

        A text that is the newest at some address is not outdated, whatever it was elsewhere. An
        edition that is not accepted does not count.
        """
        found: dict[str, str] = {}
        with self._database.read() as db:
            for address in _addresses(db, of):
                *older, newest = address
                found |= {document: newest for document in older if document != newest}
            current = {address[-1] for address in _addresses(db, found)}
        return {old: new for old, new in found.items() if old not in current}


def _addresses(db: Connection, of: Collection[str]) -> list[list[str]]:
    """The accepted editions of every address at which one of these documents ever was, in order."""
    places: dict[tuple[str, str], list[str]] = {}
    here = (editions.c.source, editions.c.address_digest)
    for some in chunks(sorted(of)):
        for row in db.execute(select(*here).where(editions.c.document.in_(some)).distinct()):
            places[row.source, row.address_digest] = []
    for source, address in places:
        query = (
            select(editions.c.document)
            .join(documents, documents.c.digest == editions.c.document)
            .where(editions.c.source == source, editions.c.address_digest == address)
            .where(documents.c.state == DocumentState.ACCEPTED)
        )
        places[source, address] = list(db.scalars(query.order_by(editions.c.number)))
    return [each for each in places.values() if each]
