"""Places: what the last visit saw at each address of a source.

The texts that an address had before are its editions (store/editions.py). Fetching, and what is
new, are adapt/gather's business, which is the caller.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from store.database import Database
from store.document_rows import chunks
from store.editions import address_key
from store.source_records import Place
from store.tables import aware, moment, pack, places, unpack

_COLUMNS = ("document", "state", "seen_at")


class Places:
    """The table of places."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, source: str) -> dict[str, Place]:
        """All places of a source, by address."""
        query = select(places).where(places.c.source == source)
        with self._database.read() as db:
            found = [_place(row) for row in db.execute(query)]
        return {place.address: place for place in found}

    def put(self, source: str, seen: Sequence[Place]) -> None:
        """Write what was seen, all or nothing, in place of what was seen before. No address may
        stand there twice."""
        rows = {address_key(place.address): _row(place) for place in seen}
        assert len(rows) == len(seen), "an address stands twice among what was seen"
        with self._database.begin() as db:
            for some in chunks(rows):
                own = places.c.address_digest.in_(some)
                db.execute(delete(places).where(places.c.source == source, own))
                db.execute(insert(places), [rows[key] for key in some])

    def touch(self, source: str, addresses: Iterable[str], at: datetime) -> None:
        """Note that nothing changed at these addresses."""
        with self._database.begin() as db:
            for some in chunks(addresses):
                own = places.c.address_digest.in_([address_key(address) for address in some])
                row = update(places).where(places.c.source == source, own)
                db.execute(row.values(seen_at=moment(at)))

    def of_document(self, digest: str) -> list[Place]:
        """Where a text lies now, or lay last, by source and address."""
        query = select(places).where(places.c.document == digest)
        with self._database.read() as db:
            found = [_place(row) for row in db.execute(query)]
        return sorted(found, key=lambda place: (place.source, place.address))


def _row(place: Place) -> dict[str, object]:
    return {
        "source": place.source,
        "address_digest": address_key(place.address),
        "address": place.address,
        "document": place.document,
        "state": place.state,
        "seen_at": moment(place.seen_at),
        "record": pack(place, without=_COLUMNS),
    }


def _place(row: Row[Any]) -> Place:
    seen_at = aware(row.seen_at)
    return unpack(Place, row.record, document=row.document, state=row.state, seen_at=seen_at)
