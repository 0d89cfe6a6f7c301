"""Sources: the places that documents come from, by name. Fetching is adapt/gather's business.

Called by the command line and the gather stage.
"""

from typing import Any

from sqlalchemy import delete, insert, select, update

from store.database import Database
from store.errors import NotFoundError, UserError
from store.source_records import Source
from store.tables import pack, places, sources, unpack

NAME_CHARS = 64
"""Longest name of a source."""
_MARKS = " ._-"


class Sources:
    """The table of sources."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, source: Source) -> None:
        """Store a source. UserError when its name is none, or name or location are taken."""
        _check_name(source.name)
        with self._database.begin() as db:
            for row in db.scalars(select(sources.c.record)):
                other = unpack(Source, row)
                if other.name == source.name:
                    raise UserError(
                        f"there is already a source named {source.name!r}",
                        "choose another name, or remove that source first",
                    )
                if (other.kind, other.location) == (source.kind, source.location):
                    # Every document of it would be known already, and gone when one is removed.
                    raise UserError(
                        f"{source.location} is already the source {other.name!r}",
                        f"remove that one first: perennial source remove {other.name!r}",
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

    def change(self, name: str, **fields: Any) -> Source:
        """Change some fields, never the name; the source as it is then. Raises NotFoundError."""
        with self._database.begin() as db:
            row = db.scalar(select(sources.c.record).where(sources.c.name == name))
            if row is not None:
                changed = Source.model_validate({**dict(unpack(Source, row)), **fields})
                assert changed.name == name, "a source keeps its name"
                own = update(sources).where(sources.c.name == name)
                db.execute(own.values(record=pack(changed)))
                return changed
        raise self._missing(name)

    def remove(self, name: str) -> None:
        """Forget a source and what lies where in it. Its documents, their editions and its visits
        stay. Raises NotFoundError."""
        with self._database.begin() as db:
            gone = db.execute(delete(sources).where(sources.c.name == name)).rowcount
            # Another source of that name must not take these for its own.
            db.execute(delete(places).where(places.c.source == name))
        if not gone:
            raise self._missing(name)

    def _missing(self, name: str) -> NotFoundError:
        names = ", ".join(source.name for source in self.list())
        return NotFoundError(
            f"no source named {name!r}",
            f"there are: {names}" if names else "add one with: perennial source add",
        )


def _check_name(name: str) -> None:
    """Raises UserError for a name that could not be typed, or would be taken for an option."""
    if not name.strip():
        raise UserError("the name of a source cannot be empty", "say what it holds")
    odd = [c for c in name if not c.isalnum() and c not in _MARKS]
    edges = not (name[0].isalnum() and name[-1] != " ")
    if odd or edges or len(name) > NAME_CHARS:
        raise UserError(
            f"{name!r} cannot be the name of a source",
            f"letters and digits, between them also . _ - and spaces, {NAME_CHARS} at most",
        )
