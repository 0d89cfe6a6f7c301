"""Editions: the texts that an address has had, one after the other, and what changed between two.

A text is kept under its digest whatever comes after it, so every edition can be read and compared.
They are written where documents are taken in (store/taking.py); the command line and adapt read
them here.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, insert, select, tuple_

from store.database import Database
from store.document_rows import chunks, read_document
from store.errors import NotFoundError
from store.records import Document, digest_of
from store.source_records import Edition
from store.tables import editions, pack, unpack

Address = tuple[str, str]
"""Name of the source, and the address there."""


@dataclass
class Past:
    """What an address has had so far."""

    number: int = 0
    """Of the last edition."""
    last: str | None = None
    """Its document."""
    documents: set[str] = field(default_factory=set)
    """All of them."""


class Editions:
    """The table of editions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, source: str, address: str) -> list[Edition]:
        """The editions of an address, the first one first; none of an address never seen."""
        query = select(editions.c.record).where(
            editions.c.source == source, editions.c.address_digest == address_key(address)
        )
        with self._database.read() as db:
            rows = db.scalars(query.order_by(editions.c.number)).all()
        return [unpack(Edition, row) for row in rows]

    def of_document(self, digest: str) -> list[Edition]:
        """Where a text was found, and as which edition; none where it was stored by hand."""
        query = select(editions.c.record).where(editions.c.document == digest)
        with self._database.read() as db:
            found = [unpack(Edition, row) for row in db.scalars(query)]
        return sorted(found, key=lambda e: (e.seen_at, e.source, e.address, e.number))

    def difference(self, source: str, address: str, before: int, after: int) -> str:
        """What changed between two editions, as a unified diff; empty when nothing did.

        Raises NotFoundError for an edition that there is not.
        """
        found = {edition.number: edition.document for edition in self.of(source, address)}
        for number in (before, after):
            if number not in found:
                there = f"there are: {', '.join(map(str, found))}" if found else "it was never seen"
                raise NotFoundError(f"{address} of {source} has no edition {number}", there)
        with self._database.read() as db:
            old, new = (read_document(db, found[number]) for number in (before, after))
        names = (f"{address} (edition {n})" for n in (before, after))
        return difference(old, new, *names)


def difference(old: Document, new: Document, old_name: str = "", new_name: str = "") -> str:
    """A unified diff of two documents, line by line; empty when they are the same."""
    lines = difflib.unified_diff(
        old.text.splitlines(),
        new.text.splitlines(),
        old_name or old.address,
        new_name or new.address,
        lineterm="",
    )
    return "\n".join(lines)


def address_key(address: str) -> str:
    """What an address is found by: a key of the table may not be as long as an address."""
    return digest_of(address.encode(errors="surrogatepass"))


def read_pasts(db: Connection, addresses: Iterable[Address]) -> dict[Address, Past]:
    """What each of the addresses has had, an empty past for one that is new."""
    wanted = {(source, address_key(address)): (source, address) for source, address in addresses}
    pasts = {address: Past() for address in wanted.values()}
    key = tuple_(editions.c.source, editions.c.address_digest)
    columns = (
        editions.c.source, editions.c.address_digest, editions.c.number, editions.c.document,
    )  # fmt: skip
    # Two values each.
    for some in chunks(wanted):
        for row in db.execute(select(*columns).where(key.in_(some)).order_by(editions.c.number)):
            past = pasts[wanted[row.source, row.address_digest]]
            past.number, past.last = row.number, row.document
            past.documents.add(row.document)
    return pasts


def write_editions(
    db: Connection, seen: Sequence[Document], pasts: dict[Address, Past]
) -> list[Edition]:
    """Note what was seen where; the new editions: of texts that are not what was there last.
    `pasts` are those of the addresses, and go on with what is new."""
    new: list[Edition] = []
    for document in seen:
        past = pasts[document.source, document.address]
        if past.last == document.digest:
            continue
        past.number, past.last = past.number + 1, document.digest
        past.documents.add(document.digest)
        new.append(
            Edition(
                source=document.source,
                address=document.address,
                number=past.number,
                document=document.digest,
                seen_at=document.fetched_at,
            )
        )
    if new:
        db.execute(insert(editions), [_row(edition) for edition in new])
    return new


def _row(edition: Edition) -> dict[str, object]:
    return {
        "source": edition.source,
        "address_digest": address_key(edition.address),
        "number": edition.number,
        "document": edition.document,
        "record": pack(edition),
    }
