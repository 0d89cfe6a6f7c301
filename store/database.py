"""The database: one engine, transactions that roll back, errors that say the way out.

SQLite in WAL mode by default, PostgreSQL by URL. Writers are one at a time in both (`begin`),
readers never wait (`read`). It knows no tables; store/tables.py has them and store/migrations
creates them. Called by the other store modules only.
"""

import math
import select
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolError

from store.database_errors import URL_HINT, explained, locked
from store.errors import ConfigError

_READ = "perennial_read"
# One key for all writers of a PostgreSQL database, held until the transaction ends. The time it is
# waited for is set in the same statement: another one would be another trip to the server.
_WRITER_LOCK = "SELECT set_config('lock_timeout', '{}ms', true), pg_advisory_xact_lock(7303014)"


class Database:
    """A database at a path (SQLite) or a URL. Safe to share between threads.

    Do not open a transaction inside another one: the second would wait for the first.
    `wait` is how many seconds a writer waits for another one before BusyError.
    """

    def __init__(self, url_or_path: str | Path, wait: float = 10.0) -> None:
        self._url = _url_of(url_or_path)
        self._sqlite = self._url.get_backend_name() == "sqlite"
        self.place = shown_place(self._url)
        self._wait = wait
        self._turn = threading.Lock()
        try:
            self._engine, self._reader, self._single = self._engines()
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"the database {self._url.get_backend_name()!r} needs the module {error.name!r}",
                f"pip install {error.name}",
            ) from error

    def _engines(self) -> tuple[Engine, Engine, Engine]:
        """One for writing, one for reading, one for reading by single statements."""
        if self._sqlite:
            engine = create_engine(self._url, connect_args={"timeout": self._wait})
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            reader = engine.execution_options(**{_READ: True})
            return engine, reader, reader
        options: dict[str, Any] = {
            "pool_timeout": self._wait,
            "max_overflow": 25,
            "connect_args": {"connect_timeout": max(2, math.ceil(self._wait))},
        }
        engine = create_engine(self._url, **options)
        # By default each statement of a PostgreSQL transaction sees another moment. Connections of
        # their own, as changing one to and fro costs as much as the question.
        reader = create_engine(self._url, isolation_level="REPEATABLE READ", **options)
        event.listen(reader, "connect", _only_read)
        single = create_engine(self._url, isolation_level="AUTOCOMMIT", **options)
        for each in (engine, reader, single):
            event.listen(each, "checkout", _refuse_closed)
        return engine, reader, single

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A writing transaction: commits at the end of the block, rolls back on any error."""
        with self._explained(), self._alone(), self._engine.begin() as connection:
            if not self._sqlite:
                connection.exec_driver_sql(_WRITER_LOCK.format(round(1000 * self._wait)))
            yield connection

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The turn of this process's writers. SQLite's own are woken by sleeping ever longer, up to
        a tenth of a second, while the file has long been free."""
        if not self._sqlite:
            yield
            return
        if not self._turn.acquire(timeout=self._wait):
            raise locked(f"the database {self.place}", self._wait)
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def read(self, *, single: bool = False) -> Iterator[Connection]:
        """A reading transaction: one consistent view, never waiting for writers.

        With `single` it is for one statement, which needs no transaction around it: one trip to a
        server instead of three.
        """
        engine = self._single if single else self._reader
        with self._explained(), engine.begin() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the tables up to date. Raises ConfigError when the database is newer than we."""
        from store.migrations import current, upgrade

        with self.read() as connection:
            if current(connection):
                return
        with self.begin() as connection:
            upgrade(connection)

    def of_another_release(self) -> bool:
        """Whether there are tables, and not the newest of this program."""
        from store.migrations import current, current_revision

        with self.read() as connection:
            return current_revision(connection) is not None and not current(connection)

    def close(self) -> None:
        """Close all connections. A closed database opens again on the next use."""
        for engine in (self._engine, self._reader, self._single):
            engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, PoolError) as error:
            cause = getattr(error, "orig", None) or error
            raise explained(error, cause, self.place, self._wait) from error
        except sqlite3.Error as error:
            # Raised while a new connection is prepared, where SQLAlchemy does not wrap it.
            raise explained(error, error, self.place, self._wait) from error


def shown_place(url: URL) -> str:
    """Where a database is, for people: without user, password or options."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    host = url.host or url.query.get("host") or "localhost"
    return f"postgresql://{host}{f':{url.port}' if url.port else ''}/{url.database or ''}"


def _url_of(url_or_path: str | Path) -> URL:
    if isinstance(url_or_path, Path) or "://" not in url_or_path:
        return URL.create("sqlite", database=str(url_or_path))
    try:
        url = make_url(url_or_path)
    except (ArgumentError, ValueError):
        # Not even as the cause: SQLAlchemy's message may hold the whole URL, password and all.
        raise ConfigError("the database URL cannot be read", URL_HINT) from None
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "postgresql+psycopg"):
        raise ConfigError(f"{url.drivername} is not a database that we know", URL_HINT)
    return url


def _only_read(connection: Any, _: Any) -> None:
    connection.read_only = True


def _refuse_closed(connection: Any, _: Any, __: Any) -> None:
    """A server that went away closed the connections of the pool: another one is made instead.

    What waits to be read on an idle connection is its end. Asking the server would take as long as
    a question.
    """
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    if waiting.poll(0):
        raise DisconnectionError


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # Python's sqlite3 would begin transactions by itself, late, and leave DDL outside them.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    # A writer that begins as a reader can find at its first write that it may not go on.
    reading = connection.get_execution_options().get(_READ, False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
