"""Sources: the places that documents come from, by name. Fetching is adapt/gather's business.

Called by the command line and the gather stage.
"""

from sqlalchemy import delete, insert, select

from store.database import Database
from store.errors import NotFoundError, UserError
from store.source_records import Source
from store.tables import pack, sources, unpack


class Sources:
    """The table of sources."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, source: Source) -> None:
        """Store a source. Raises UserError when the name is taken."""
        with self._database.begin() as db:
            if db.scalar(select(sources.c.name).where(sources.c.name == source.name)):
                raise UserError(
                    f"there is already a source named {source.name!r}",
                    "choose another name, or remove that source first",
                )
            db.execute(insert(sources).values(name=source.name, record=pack(source)))

    def list(self) -> list[Source]:
        """All sources by name."""
        with self._database.read() as db:
            rows = db.scalars(select(sources.c.record)).all()
        # Sorted here: PostgreSQL sorts by the rules of its language, which SQLite does not have.
        return sorted((unpack(Source, row) for row in rows), key=lambda source: source.name)

    def get(self, name: str) -> Source:
        """The source of that name. Raises NotFoundError listing the names that exist."""
        with self._database.read() as db:
            row = db.scalar(select(sources.c.record).where(sources.c.name == name))
        if row is None:
            raise self._missing(name)
        return unpack(Source, row)

    def remove(self, name: str) -> None:
        """Forget a source; its documents stay. Raises NotFoundError."""
        with self._database.begin() as db:
            gone = db.execute(delete(sources).where(sources.c.name == name)).rowcount
        if not gone:
            raise self._missing(name)

    def _missing(self, name: str) -> NotFoundError:
        names = ", ".join(source.name for source in self.list())
        return NotFoundError(
            f"no source named {name!r}",
            f"there are: {names}" if names else "add one with: perennial source add",
        )
