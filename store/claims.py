"""What documents speak of: 64-bit keys, by which others that speak of the same are found.

What a key stands for is adapt/gather/screen_claims.py's business; here they are numbers. The texts
themselves stay in the documents. Called by adapt.gather's screening.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import func, insert, select

from store.database import Database
from store.document_rows import MANY, chunks
from store.records import DocumentState
from store.tables import claims, documents

_SPOKEN_OF = 200
"""A key that more documents share tells nothing about any two of them."""


class Claims:
    """The table of claims. Withdrawn and held documents keep theirs, and are not found by them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, given: Mapping[str, tuple[float, Collection[int]]]) -> None:
        """Store the trust and the keys of documents, by digest. Those of a document that has some
        already stay as they are."""
        with self._database.begin() as db:
            known: set[str] = set()
            for some in chunks(given):
                rows = select(claims.c.document).where(claims.c.document.in_(some)).distinct()
                known.update(db.scalars(rows))
            new = [
                {"document": digest, "key": key, "trust": trust}
                for digest, (trust, keys) in given.items()
                if digest not in known
                for key in set(keys)
            ]
            if new:
                db.execute(insert(claims), new)

    def sharing(
        self, keys: Collection[int], *, above: float | None = None, below: float | None = None
    ) -> Counter[str]:
        """Accepted documents with some of the keys, and how many of them: of those that are trusted
        more than `above`, or less than `below`."""
        found: Counter[str] = Counter()
        query = (
            select(claims.c.key, claims.c.document)
            .join(documents, documents.c.digest == claims.c.document)
            .where(documents.c.state == DocumentState.ACCEPTED)
        )
        if above is not None:
            query = query.where(claims.c.trust > above)
        if below is not None:
            query = query.where(claims.c.trust < below)
        by_key: dict[int, list[str]] = {}
        with self._database.read() as db:
            for some in chunks(set(keys)):
                for row in db.execute(query.where(claims.c.key.in_(some))):
                    by_key.setdefault(row.key, []).append(row.document)
        for sharers in by_key.values():
            if len(sharers) <= _SPOKEN_OF:
                found.update(sharers)
        return found

    def spread(
        self, keys: Collection[int], source: str, states: Iterable[DocumentState]
    ) -> dict[int, int]:
        """How many documents of a source, in one of these states, have each key."""
        query = (
            select(claims.c.key, func.count())
            .join(documents, documents.c.digest == claims.c.document)
            .where(documents.c.source == source, documents.c.state.in_(list(states)))
            .group_by(claims.c.key)
        )
        found: dict[int, int] = {}
        with self._database.read() as db:
            for some in chunks(set(keys)):
                found |= {row[0]: row[1] for row in db.execute(query.where(claims.c.key.in_(some)))}
        return found

    def with_key(
        self, key: int, source: str, states: Iterable[DocumentState], most: int = MANY
    ) -> list[str]:
        """Digests of the documents of a source that have a key, at most so many."""
        query = (
            select(claims.c.document)
            .join(documents, documents.c.digest == claims.c.document)
            .where(claims.c.key == key, documents.c.source == source)
            .where(documents.c.state.in_(list(states)))
            .order_by(claims.c.document)
            .limit(most)
        )
        with self._database.read() as db:
            return list(db.scalars(query))

    def elsewhere(self, key: int, source: str) -> bool:
        """Whether an accepted document of another source has a key."""
        query = (
            select(claims.c.document)
            .join(documents, documents.c.digest == claims.c.document)
            .where(claims.c.key == key, documents.c.source != source)
            .where(documents.c.state == DocumentState.ACCEPTED)
        )
        with self._database.read() as db:
            return db.scalar(query.limit(1)) is not None
