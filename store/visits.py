"""Visits: every look at a source, what it brought, and why it failed where it did.

Written once and never changed. Called by adapt.gather and the command line.
"""

from sqlalchemy import func, insert, select

from store.database import Database
from store.source_records import Visit
from store.tables import moment, pack, unpack
from store.tables import visits as table


class Visits:
    """The table of visits."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, visit: Visit) -> None:
        """Store a visit that has ended."""
        with self._database.begin() as db:
            db.execute(
                insert(table).values(
                    source=visit.source, started_at=moment(visit.started_at), record=pack(visit)
                )
            )

    def of(self, source: str, limit: int = 50) -> list[Visit]:
        """The latest visits to a source, newest first."""
        query = select(table.c.record).where(table.c.source == source)
        with self._database.read() as db:
            rows = db.scalars(query.order_by(table.c.id.desc()).limit(limit)).all()
        return [unpack(Visit, row) for row in rows]

    def last(self) -> dict[str, Visit]:
        """The latest visit to each source, by its name."""
        newest = select(func.max(table.c.id)).group_by(table.c.source)
        query = select(table.c.record).where(table.c.id.in_(newest))
        with self._database.read() as db:
            found = [unpack(Visit, row) for row in db.scalars(query)]
        return {visit.source: visit for visit in found}
