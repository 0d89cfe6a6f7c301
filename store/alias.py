"""The live alias: one row that names the live version, and the log of its changes.

Every function works inside the caller's transaction, so that the alias and the states of the
versions change together or not at all. Called by store/versions.py only.
"""

from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, delete, insert, select

from store.errors import StateError
from store.records import Record, VersionState, utc_now
from store.tables import aliases, flips, pack, unpack, versions

LIVE = "live"


class Flip(Record):
    """One change of the live alias."""

    kind: Literal["go_live", "roll_back"]
    version: str
    """The version that is live from then on."""
    previous: str | None
    """The version that was live until then."""
    at: datetime


def live_name(db: Connection) -> str | None:
    """Name of the live version, None before the first flip."""
    return db.scalar(select(aliases.c.version).where(aliases.c.name == LIVE))


def flip(
    db: Connection, kind: Literal["go_live", "roll_back"], name: str, previous: str | None
) -> None:
    """Point the alias at `name` and log it. The states of both versions are the caller's."""
    record = Flip(kind=kind, version=name, previous=previous, at=utc_now())
    db.execute(delete(aliases).where(aliases.c.name == LIVE))
    db.execute(insert(aliases).values(name=LIVE, version=name))
    row = {"kind": kind, "version": name, "previous": previous, "record": pack(record)}
    db.execute(insert(flips).values(row))


def flips_of(db: Connection) -> list[Flip]:
    """All changes of the alias, oldest first."""
    return [unpack(Flip, row) for row in db.scalars(select(flips.c.record).order_by(flips.c.id))]


def last_flip(db: Connection) -> Flip:
    """The newest change; there is one as soon as something is live."""
    newest = select(flips.c.record).order_by(flips.c.id.desc()).limit(1)
    return unpack(Flip, db.execute(newest).scalar_one())


def were_live(db: Connection, count: int) -> list[str]:
    """The `count` versions that were live last, the live one first."""
    found: dict[str, None] = {}
    for name in db.scalars(select(flips.c.version).order_by(flips.c.id.desc())):
        if len(found) == count:
            break
        found[name] = None
    return list(found)


def before(db: Connection) -> str | None:
    """What a roll back leads to: the last version below the live one that was not taken back."""
    stack: list[str] = []
    # The columns alone: reading the records of a year's changes would hold up the swap.
    for kind, version in db.execute(select(flips.c.kind, flips.c.version).order_by(flips.c.id)):
        if kind == "go_live":
            stack.append(version)
        else:
            while stack[-1] != version:
                stack.pop()
    for name in reversed(stack[:-1]):
        state = select(versions.c.state).where(versions.c.name == name)
        if db.scalar(state) == VersionState.RETIRED:
            return name
    return None


def to_roll_back(db: Connection) -> tuple[str, str]:
    """The names of the live version and of the one before. StateError without both."""
    live, target = live_name(db), before(db)
    if live is None or target is None:
        raise StateError(
            f"there is nothing to roll back to: {live or 'no version'} is live and no other was",
            "promote another version instead",
        )
    return live, target
