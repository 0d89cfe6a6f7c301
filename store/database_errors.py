"""What went wrong in the database, in our words and with the way out.

SQLite tells by its error codes, PostgreSQL by SQLSTATE, or in words where it refuses a connection.
No message holds a password: drivers name hosts, users and databases only. Called by
store/database.py and agent/threads.py.
"""

import sqlite3

from sqlalchemy.exc import IntegrityError as ConflictError
from sqlalchemy.exc import TimeoutError as PoolError

from store.errors import (
    BusyError,
    ConfigError,
    IntegrityError,
    PerennialError,
    StateError,
    UserError,
)

URL_HINT = "write it as postgresql://user@host/name"


def explained(error: Exception, cause: BaseException, place: str, wait: float) -> PerennialError:
    """Our error for one of SQLAlchemy or a driver; `cause` is the driver's own."""
    where = f"the database {place}"
    if isinstance(error, ConflictError):
        return StateError(
            f"{where} refused a record: {_line(cause)}",
            "it is stored already, or names one that is not; nothing was changed",
        )
    if isinstance(error, PoolError):
        return BusyError(
            f"all connections to {where} have been in use for {wait:g} s", "try again later"
        )
    found = _sqlite(cause, where, wait) or _postgresql(cause, where, wait)
    return found or PerennialError(
        f"{where} failed: {_line(cause)}", "see whether it is up and try again"
    )


def _sqlite(cause: BaseException, where: str, wait: float) -> PerennialError | None:
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return _full(where)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return locked(where, wait)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return IntegrityError(
            f"{where} is damaged: {cause}",
            "restore a backup into a new home (perennial restore), or move it away to start anew",
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return ConfigError(
            f"{where} cannot be written: {cause}",
            "check the folder and its permissions, or choose another --home",
        )
    return None


def _postgresql(cause: BaseException, where: str, wait: float) -> PerennialError | None:
    state = getattr(cause, "sqlstate", None)
    if state is None:
        return _no_connection(_line(cause), where)
    if state == "53100":
        return _full(where)
    if state == "55P03":
        return locked(where, wait)
    if state.startswith("53"):
        return BusyError(
            f"{where} has no room for us: {_line(cause)}",
            "raise its max_connections or memory, or close other clients",
        )
    if state in ("42501", "25006"):
        return ConfigError(
            f"{where} cannot be written: {_line(cause)}",
            "give the user the rights to its schema (GRANT CREATE, USAGE ON SCHEMA public), and "
            "name the primary server",
        )
    if state.startswith("22"):
        return UserError(
            f"{where} cannot hold a value: {_line(cause)}",
            "use a shorter name, without control characters; nothing was changed",
        )
    if state.startswith(("08", "57P")):
        return _lost(_line(cause), where)
    return None


def _no_connection(said: str, where: str) -> PerennialError | None:
    """PostgreSQL gives no code while it connects, nor when it goes away."""
    if "password" in said:
        return ConfigError(
            f"{where} does not let us in: {said}",
            "give the password in PERENNIAL_STORAGE__DATABASE, PGPASSWORD or ~/.pgpass",
        )
    if "does not exist" in said:
        return ConfigError(
            f"{where} cannot be opened: {said}",
            "make it first: createuser USER; createdb --owner USER NAME",
        )
    if "server closed the connection" in said or "connection is closed" in said:
        return _lost(said, where)
    if "connect" in said or "resolve" in said:
        return PerennialError(
            f"{where} does not answer: {said}",
            "start the server, or check the host and port in storage.database",
        )
    if "NUL" in said:
        return UserError(f"{where} cannot hold a value: {said}", "leave out the NUL character")
    return None


def _full(where: str) -> PerennialError:
    return PerennialError(
        f"no space left for {where}",
        "free some space and run the same command again; nothing was changed",
    )


def locked(where: str, wait: float) -> PerennialError:
    return BusyError(
        f"{where} has been locked by another process for {wait:g} s",
        "stop the process that holds it, or try again",
    )


def _lost(said: str, where: str) -> PerennialError:
    return PerennialError(
        f"the connection to {where} was lost: {said}",
        "start the server and run the same command again; what was under way was rolled back",
    )


def _line(cause: BaseException) -> str:
    """The driver's message on one line."""
    return " ".join(str(cause).split())
