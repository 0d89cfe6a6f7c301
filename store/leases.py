"""Leases: what only one process at a time may do, kept in the database that the processes share.

The rule trusts no wall clock, neither a machine's nor a server's. A holder counts its renewals up
while it lives. Whoever waits and has seen the same count for as long as the holder promised to
renew within (`lasts_s`), by its own monotonic clock, takes the lease. So no clock that is set,
forwards or back, on any machine, loses a lease or gives one away; a machine that slept waits
longer; and a dead holder has lost it `lasts_s` after the first look of anyone who wants it.

A holder that was stopped for long (a sleeping machine) may have lost its lease and not know it.
So every lease taken has a higher number than the last, its fence, and every writing transaction
made inside `Leases.held` first proves that its fence is the newest. Writers are one at a time, so
nothing can come between the proof and the write: who lost a lease changes nothing any more.

It knows nothing of the work. Called by adapt.worker_run (update cycles).
"""

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from store.database import Database
from store.errors import BusyError, StateError
from store.tables import leases

LASTS_S = 30.0
"""How long a holder may go without a renewal before others take its lease."""
_FREE = ""


@dataclass(frozen=True)
class Lease:
    """One holding of a lease. `fence` is higher than that of every earlier one."""

    name: str
    holder: str
    fence: int
    lasts_s: float


@dataclass(frozen=True)
class _Seen:
    """A holder as others see it: since when its count has stood still, by their own clock."""

    fence: int
    renewals: int
    since: float


_HELD: ContextVar[tuple[Database, Lease] | None] = ContextVar("held lease", default=None)


class FencedDatabase(Database):
    """A database whose writing transactions, inside `Leases.held`, prove the lease first."""

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """As Database.begin. StateError when the lease of the calling task has been lost."""
        with super().begin() as db:
            held = _HELD.get()
            if held is not None and held[0] is self:
                _prove(db, held[1])
            yield db


class Leases:
    """The table of leases, as one process uses it. `clock` gives seconds that only go up."""

    def __init__(
        self,
        database: Database,
        lasts_s: float = LASTS_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._lasts_s = lasts_s
        # For people; the rest makes it unique, as the numbers of processes return.
        host = socket.gethostname()[:24]
        self._me = f"process {os.getpid()} on {host}, {secrets.token_hex(4)}"
        self._seen: dict[str, _Seen] = {}
        self.clock = clock

    def take(self, name: str, place: str = "") -> Lease:
        """Take a lease that is free, or whose holder has been seen to be dead.

        BusyError while someone else holds it, or may: call again, until `seen` says that it lives,
        or success. A `place` is where the caller holds a lock that dies with its process, such as
        a home: who held the lease from there before is dead, and is not waited for.
        """
        mine = {"holder": self._me, "place": place, "renewals": 0, "lasts_s": self._lasts_s}
        with self._database.begin() as db:
            row = _row(db, name)
            if row is None:
                db.execute(insert(leases).values(name=name, fence=1, **mine))
                return Lease(name, self._me, 1, self._lasts_s)
            ours_before = bool(place) and row.place == place and row.holder != self._me
            if row.holder != _FREE and not ours_before and not self._dead(name, row):
                raise BusyError(
                    f"the lease on {name} is held by {row.holder}",
                    f"wait until it is done; a dead holder loses it after {row.lasts_s:g} s",
                )
            fence = row.fence + 1
            db.execute(update(leases).where(leases.c.name == name).values(fence=fence, **mine))
        self._seen.pop(name, None)
        return Lease(name, self._me, fence, self._lasts_s)

    def seen(self, name: str) -> tuple[int, int] | None:
        """Fence and renewals of the holder that the last refused `take` saw: two that differ prove
        that a holder lived between them."""
        seen = self._seen.get(name)
        return (seen.fence, seen.renewals) if seen else None

    def renew(self, lease: Lease) -> None:
        """Say that the holder lives: to be called well within `lasts_s`. StateError when lost."""
        with self._database.begin() as db:
            _prove(db, lease)
            row = update(leases).where(leases.c.name == lease.name)
            db.execute(row.values(renewals=leases.c.renewals + 1))

    def release(self, lease: Lease) -> None:
        """Let others have it at once. A lease that was lost is left to whom it belongs."""
        row = update(leases).where(leases.c.name == lease.name, leases.c.fence == lease.fence)
        with self._database.begin() as db:
            db.execute(row.values(holder=_FREE))

    def holds(self, lease: Lease) -> bool:
        """Whether the lease is still this holder's."""
        with self._database.read() as db:
            row = _row(db, lease.name)
        return row is not None and (row.fence, row.holder) == (lease.fence, lease.holder)

    @contextmanager
    def held(self, lease: Lease) -> Iterator[None]:
        """Inside, and in all tasks and threads started from there, writes prove the lease."""
        token = _HELD.set((self._database, lease))
        try:
            yield
        finally:
            _HELD.reset(token)

    def _dead(self, name: str, row: Row[Any]) -> bool:
        """Whether the count has stood still for as long as the holder promised; remembers it."""
        seen = self._seen.get(name)
        if seen is None or (seen.fence, seen.renewals) != (row.fence, row.renewals):
            seen = _Seen(row.fence, row.renewals, self.clock())
        self._seen[name] = seen
        return self.clock() - seen.since > row.lasts_s


def _row(db: Connection, name: str) -> Row[Any] | None:
    return db.execute(select(leases).where(leases.c.name == name)).one_or_none()


def _prove(db: Connection, lease: Lease) -> None:
    row = _row(db, lease.name)
    if row is None or (row.fence, row.holder) != (lease.fence, lease.holder):
        raise StateError(
            f"the lease on {lease.name} (fence {lease.fence}) was lost to another process",
            "nothing was changed; what was under way goes on there",
        )
