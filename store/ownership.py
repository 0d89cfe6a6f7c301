"""Whose a database is: each home has one, and a database outside the home has one home.

Prevents two mix-ups: a home opened without the URL of its database, which would begin anew in an
empty file, and two homes that share a database, each without the other's weights. Called by
store/store.py at every opening, by store/index.py and by store/restore.py.
"""

import json
import os
import secrets

from sqlalchemy import insert, select

from store.database import Database
from store.errors import ConfigError, IntegrityError, StateError
from store.files import write_atomic
from store.home import Home
from store.tables import owners

_UNSET = "unset storage.database (PERENNIAL_STORAGE__DATABASE)"
_MOVE = "to move it: perennial backup FILE, then perennial restore FILE into a new --home"


def check_home(home: Home) -> None:
    """Before a database is touched: StateError for a home that a restore has not finished,
    ConfigError for one whose database is of another kind than the settings say."""
    if home.restoring.exists():
        raise StateError(
            f"a restore into the home {home.path} did not finish",
            "run `perennial restore` again with the same file; it begins anew",
        )
    if home.identity.is_file():
        _check_kind(home, _read(home)["database"])
    elif home.database.is_file():
        # A home of before it was written down: the file tells.
        _check_kind(home, "sqlite")


def claim(home: Home, database: Database) -> None:
    """Make the database this home's, or see that it is. Raises ConfigError when it is not."""
    _identify(home)
    if home.database_url is None:
        return
    own = identity_of(home)
    with database.read() as db:
        owner = db.scalar(select(owners.c.home))
    if owner is None:
        with database.begin() as db:
            owner = db.scalar(select(owners.c.home))
            if owner is None:
                db.execute(insert(owners).values(home=own))
                return
    if owner != own:
        raise ConfigError(
            f"the database {database.place} belongs to another home ({owner}, this is {own})",
            "give each home a database of its own; homes that see the same artifacts may share one "
            f"by the same {home.identity.name}",
        )


def identity_of(home: Home) -> str:
    """16 hex digits that no other home has. IntegrityError when they cannot be read."""
    return _read(home)["id"]


def _identify(home: Home) -> None:
    """Give the home its name, once, whoever comes first."""
    if home.identity.is_file():
        return
    said = {"id": secrets.token_hex(8), "database": _kind(home)}
    temporary = home.identity.with_name(f".{said['id']}")
    write_atomic(temporary, json.dumps(said) + "\n")
    try:
        # Unlike a rename it fails where another process was first.
        os.link(temporary, home.identity)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def _kind(home: Home) -> str:
    return "sqlite" if home.database_url is None else "postgresql"


def _check_kind(home: Home, known: str) -> None:
    if known == _kind(home):
        return
    if known == "sqlite":
        raise ConfigError(
            f"the home {home.path} has its database in {home.database.name}, and storage.database "
            "names another",
            f"{_UNSET}; {_MOVE} with that database",
        )
    raise ConfigError(
        f"the home {home.path} has its database on a PostgreSQL server, and none is named",
        f"set PERENNIAL_STORAGE__DATABASE to its URL; {_MOVE}",
    )


def _read(home: Home) -> dict[str, str]:
    try:
        found = json.loads(home.identity.read_text())
        return {"id": str(found["id"]), "database": str(found["database"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{home.identity} cannot be read: {error}", "restore it from a backup of the home"
        ) from error
