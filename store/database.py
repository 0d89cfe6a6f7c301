"""The database: one engine, transactions that roll back, errors that say the way out.

SQLite in WAL mode by default, PostgreSQL by URL. Writers are one at a time in both (`begin`),
readers never wait (`read`). It knows no tables; store/tables.py has them and store/migrations
creates them. Called by the other store modules only.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import IntegrityError as ConflictError

from store.errors import BusyError, ConfigError, IntegrityError, PerennialError, StateError

_READ = "perennial_read"
# One key for all writers of a PostgreSQL database, held until the transaction ends.
_WRITER_LOCK = "SELECT pg_advisory_xact_lock(7303014)"


class Database:
    """A database at a path (SQLite) or a URL. Safe to share between threads.

    Do not open a transaction inside another one: the second would wait for the first.
    `wait` is how many seconds a writer waits for another one before BusyError.
    """

    def __init__(self, url_or_path: str | Path, wait: float = 10.0) -> None:
        self._url = _url_of(url_or_path)
        self.place = self._url.database or self._url.render_as_string(hide_password=True)
        self._sqlite = self._url.get_backend_name() == "sqlite"
        self._wait = wait
        try:
            options: dict[str, Any] = {"connect_args": {"timeout": wait}} if self._sqlite else {}
            self._engine: Engine = create_engine(self._url, **options)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"the database {self._url.get_backend_name()!r} needs the module {error.name!r}",
                f"pip install {error.name}",
            ) from error
        if self._sqlite:
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        reading: dict[str, Any] = {_READ: True}
        if not self._sqlite:
            # By default each statement of a PostgreSQL transaction sees another moment.
            reading["isolation_level"] = "REPEATABLE READ"
        self._reader = self._engine.execution_options(**reading)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A writing transaction: commits at the end of the block, rolls back on any error."""
        with self._explained(), self._engine.begin() as connection:
            if not self._sqlite:
                connection.exec_driver_sql(_WRITER_LOCK)
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A reading transaction: one consistent view, never waiting for writers."""
        with self._explained(), self._reader.begin() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the tables up to date. Raises ConfigError when the database is newer than we."""
        from store.migrations import current, upgrade

        with self.read() as connection:
            if current(connection):
                return
        with self.begin() as connection:
            upgrade(connection)

    def close(self) -> None:
        """Close all connections. A closed database opens again on the next use."""
        self._engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._explain(error, error.orig) from error
        except sqlite3.Error as error:
            # Raised while a new connection is prepared, where SQLAlchemy does not wrap it.
            raise self._explain(error, error) from error

    def _explain(self, error: Exception, cause: BaseException | None) -> PerennialError:
        where = f"the database {self.place}"
        if isinstance(error, ConflictError):
            return StateError(
                f"{where} refused a record: {cause}",
                "it is stored already, or names one that is not; nothing was changed",
            )
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return PerennialError(
                f"no space left for {where}",
                "free some space and run the same command again; nothing was changed",
            )
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return BusyError(
                f"{where} has been locked by another process for {self._wait:g} s",
                "stop the process that holds it, or try again",
            )
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return IntegrityError(
                f"{where} is damaged: {cause}",
                "restore it from a copy, or move it away to start anew",
            )
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return ConfigError(
                f"{where} cannot be written: {cause}",
                "check the folder and its permissions, or choose another --home",
            )
        return PerennialError(f"{where} failed: {cause}", "see whether it is up and try again")


def _url_of(url_or_path: str | Path) -> URL:
    if isinstance(url_or_path, Path) or "://" not in url_or_path:
        return URL.create("sqlite", database=str(url_or_path))
    try:
        return make_url(url_or_path)
    except ArgumentError as error:
        raise ConfigError(
            "the database URL cannot be read", "write it as postgresql://user@host/name"
        ) from error


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # Python's sqlite3 would begin transactions by itself, late, and leave DDL outside them.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    # A writer that begins as a reader can find at its first write that it may not go on.
    reading = connection.get_execution_options().get(_READ, False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
