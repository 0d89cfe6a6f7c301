"""The tables as JSON lines and back: the same lines from SQLite and from PostgreSQL.

A table is cut into parts of a few megabytes, so that neither side holds more. Rows are written
back into the tables as they were at the schema revision of the backup, which migrations then bring
up to date. Called by store/backup.py and store/restore.py.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy import (
    Boolean,
    Connection,
    DateTime,
    Integer,
    MetaData,
    Table,
    func,
    insert,
    inspect,
    select,
    text,
)  # fmt: skip
from sqlalchemy.exc import SQLAlchemyError

from store.errors import IntegrityError, StateError
from store.migrations import current_revision, upgrade
from store.tables import aware, documents, leases, metadata, owners

_PART = 4 << 20
_ROWS = 500
_LEFT_OUT = (leases, owners)
"""They tell of processes and of this home, and mean nothing anywhere else."""


def tables() -> list[str]:
    """Names of the tables that are kept, those that others refer to first."""
    return [table.name for table in metadata.sorted_tables if table not in _LEFT_OUT]


def parts(db: Connection, name: str) -> Iterator[tuple[bytes, int]]:
    """A table's rows: JSON lines of some megabytes at a time, and how many rows they are."""
    table = metadata.tables[name]
    rows = db.execution_options(yield_per=_ROWS).execute(select(table))
    lines: list[bytes] = []
    size = 0
    for row in rows:
        lines.append(_line(table, row._mapping))
        size += len(lines[-1])
        if size >= _PART:
            yield b"".join(lines), len(lines)
            lines, size = [], 0
    if lines:
        yield b"".join(lines), len(lines)


def _line(table: Table, row: Any) -> bytes:
    values = {
        column.name: aware(value).astimezone(UTC).isoformat()
        if isinstance(value := row[column.name], datetime)
        else value
        for column in table.columns
    }
    if table is documents:
        # The search index is not in a backup, so nothing is indexed where it comes back.
        values["indexed"] = False
    return json.dumps(values).encode() + b"\n"


def prepare(db: Connection, revision: str, own: str) -> None:
    """Make the tables of a revision, in place of empty ones.

    StateError for a database that holds anything, unless its owner is `own`: what an earlier,
    interrupted restore into the same home has written.
    """
    there = [name for name in inspect(db).get_table_names() if name in metadata.tables]
    if there:
        mine = "owners" in there and db.scalar(select(owners.c.home)) == own
        full = [name for name in there if _count(db, name)]
        if full and not mine:
            raise StateError(
                f"the database is not empty: {', '.join(full)}",
                "give the URL of an empty one; nothing in it was changed",
            )
        for table in reversed(metadata.sorted_tables):
            if table.name in there:
                table.drop(db)
        db.execute(text("DELETE FROM alembic_version"))
    upgrade(db, revision)


def _count(db: Connection, name: str) -> int:
    table = metadata.tables[name]
    return db.scalar(select(func.count()).select_from(table)) or 0


def load(db: Connection, name: str, lines: Iterable[bytes]) -> int:
    """Write rows into a table as it is now; how many. IntegrityError when they do not fit."""
    count = 0
    try:
        table = Table(name, MetaData(), autoload_with=db, resolve_fks=False)
        rows = (_row(table, json.loads(line)) for line in lines)
        while some := list(islice(rows, _ROWS)):
            db.execute(insert(table), some)
            count += len(some)
    except (ValueError, TypeError, AttributeError, SQLAlchemyError) as error:
        if getattr(error, "orig", None) is not None:
            raise
        raise IntegrityError(f"rows of {name} cannot be read: {error}", "use another backup") from (
            error
        )
    return count


def _row(table: Table, values: dict[str, Any]) -> dict[str, Any]:
    unknown = values.keys() - {column.name for column in table.columns}
    if unknown:
        raise ValueError(f"there is no column {', '.join(sorted(unknown))}")
    for column in table.columns:
        value = values.get(column.name)
        if isinstance(column.type, DateTime) and value is not None:
            values[column.name] = datetime.fromisoformat(value)
        elif isinstance(column.type, Boolean) and value is not None:
            values[column.name] = bool(value)
    return values


def finish(db: Connection, own: str) -> None:
    """Bring the tables up to date, let counters go on after the rows, and say whose they are."""
    upgrade(db)
    if db.dialect.name == "postgresql":
        for table in metadata.sorted_tables:
            for column in table.primary_key:
                if isinstance(column.type, Integer):
                    _count_on(db, table.name, column.name)
    db.execute(insert(owners).values(home=own))


def _count_on(db: Connection, table: str, column: str) -> None:
    counter = db.scalar(select(func.pg_get_serial_sequence(table, column)))
    if counter is not None:
        top = f'(SELECT max("{column}") FROM "{table}")'
        db.execute(
            text(f"SELECT setval(:counter, coalesce({top}, 1), {top} IS NOT NULL)"),
            {"counter": counter},
        )


def revision_of(db: Connection) -> str:
    """The schema revision of the tables."""
    return current_revision(db) or ""
