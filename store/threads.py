"""Threads: whose they are, what their owners tagged them with, and what became of them last.

What was said in them is not here: LangGraph's checkpoints keep that (agent.threads). Called by the
HTTP API, by the table of episodes, and by the command line.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Select, case, delete, func, insert, select, update

from store.database import Database
from store.errors import NotFoundError, StateError
from store.records import Record, utc_now
from store.tables import aware, episodes, feedback, moment, runs, thread_marks, threads

Status = Literal["idle", "busy", "interrupted", "error"]
"""`busy` while a run is under way, `interrupted` when the last one waits for a person."""
SortBy = Literal["name", "status", "created_at", "updated_at"]


class Thread(Record):
    """What is known of a thread besides what was said."""

    name: str
    """Among those of all owners."""
    owner: str | None
    """Id of the key whose it is; None where it is no tenant's."""
    status: Status
    created_at: datetime
    updated_at: datetime
    tags: dict[str, Any]
    """What clients put on it: any JSON."""


class Threads:
    """The table of threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, owner: str | None, tags: Mapping[str, Any]) -> Thread:
        """A new thread. StateError when there is one of that name."""
        with self._database.begin() as db:
            if _get(db, name) is not None:
                raise StateError(f"there is a thread {name!r} already", "choose another name")
            touch(db, name, owner, utc_now())
            _tag(db, name, dict(tags))
            return _there(db, name)

    def find(self, name: str) -> Thread | None:
        """The thread of that name, None when there is none."""
        with self._database.read() as db:
            return _get(db, name)

    def get(self, name: str) -> Thread:
        """The same; NotFoundError."""
        with self._database.read() as db:
            return _there(db, name)

    def tag(self, name: str, tags: Mapping[str, Any]) -> Thread:
        """Put tags on a thread, over those that it has. NotFoundError."""
        with self._database.begin() as db:
            _tag(db, name, _there(db, name).tags | dict(tags))
            db.execute(_row(name).values(updated_at=moment(utc_now())))
            return _there(db, name)

    def mark(self, name: str, status: Status) -> None:
        """Say what became of a thread; nothing where it is gone."""
        with self._database.begin() as db:
            db.execute(_row(name).values(status=status, updated_at=moment(utc_now())))

    def settle(self) -> None:
        """No run is under way, whatever the rows say: their process is gone."""
        with self._database.begin() as db:
            stale = update(threads).where(threads.c.status == "busy")
            db.execute(stale.values(status="error"))

    def search(
        self,
        owner: str | None,
        *,
        tags: Mapping[str, Any] | None = None,
        status: Status | None = None,
        names: Collection[str] | None = None,
        limit: int = 10,
        offset: int = 0,
        sort_by: SortBy = "updated_at",
        ascending: bool = False,
    ) -> list[Thread]:
        """The threads of an owner, or of all for None, that have those tags and that status."""
        column = threads.c[sort_by]
        query = _having(select(threads), owner, tags, status, names).order_by(
            column.asc() if ascending else column.desc(), threads.c.name
        )
        with self._database.read() as db:
            return [_thread(row) for row in db.execute(query.limit(limit).offset(offset))]

    def count(
        self,
        owner: str | None,
        *,
        tags: Mapping[str, Any] | None = None,
        status: Status | None = None,
    ) -> int:
        """How many there are of these."""
        query = _having(select(func.count()).select_from(threads), owner, tags, status, None)
        with self._database.read() as db:
            return db.scalar(query) or 0

    def delete(self, name: str) -> None:
        """Forget a thread with its runs, its episodes and what was said of these. NotFoundError."""
        own = select(episodes.c.id).where(episodes.c.thread == name)
        with self._database.begin() as db:
            _there(db, name)
            db.execute(delete(feedback).where(feedback.c.episode.in_(own)))
            db.execute(delete(episodes).where(episodes.c.thread == name))
            db.execute(delete(runs).where(runs.c.thread == name))
            db.execute(delete(thread_marks).where(thread_marks.c.thread == name))
            db.execute(delete(threads).where(threads.c.name == name))


def touch(db: Connection, name: str, owner: str | None, at: datetime) -> None:
    """Take note, within a transaction, that something was said in a thread."""
    rested = case((threads.c.status == "busy", "busy"), else_="idle")
    known = db.execute(_row(name).values(updated_at=moment(at), status=rested))
    if not known.rowcount:
        db.execute(
            insert(threads).values(
                name=name, owner=owner, status="idle", created_at=moment(at),
                updated_at=moment(at), tags="{}",
            )
        )  # fmt: skip


def occupy(db: Connection, name: str, tags: Mapping[str, Any]) -> None:
    """Take note, within a transaction, that a run has begun on a thread, and tag it. NotFoundError
    for no thread."""
    _tag(db, name, _there(db, name).tags | dict(tags))
    db.execute(_row(name).values(status="busy", updated_at=moment(utc_now())))


def _row(name: str) -> Any:
    return update(threads).where(threads.c.name == name)


def _tag(db: Connection, name: str, tags: Mapping[str, Any]) -> None:
    db.execute(_row(name).values(tags=json.dumps(tags)))
    db.execute(delete(thread_marks).where(thread_marks.c.thread == name))
    marks = set(_marks(tags))
    if marks:
        db.execute(insert(thread_marks), [{"thread": name, "mark": mark} for mark in marks])


def _marks(tags: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """One digest for every value in the tags, of where it is and what it is."""
    for key, value in tags.items():
        if isinstance(value, Mapping) and value:
            yield from _marks(value, (*path, key))
            continue
        said = json.dumps([*path, key, value], sort_keys=True).encode()
        yield hashlib.blake2b(said, digest_size=16).hexdigest()


def _having(
    query: Select[Any],
    owner: str | None,
    tags: Mapping[str, Any] | None,
    status: Status | None,
    names: Collection[str] | None,
) -> Select[Any]:
    if owner is not None:
        query = query.where(threads.c.owner == owner)
    if status is not None:
        query = query.where(threads.c.status == status)
    if names is not None:
        query = query.where(threads.c.name.in_(names))
    for mark in _marks(tags or {}):
        having = select(thread_marks.c.thread).where(thread_marks.c.mark == mark)
        query = query.where(threads.c.name.in_(having))
    return query


def _get(db: Connection, name: str) -> Thread | None:
    row = db.execute(select(threads).where(threads.c.name == name)).one_or_none()
    return None if row is None else _thread(row)


def _there(db: Connection, name: str) -> Thread:
    thread = _get(db, name)
    if thread is None:
        raise no_thread(name)
    return thread


def _thread(row: Any) -> Thread:
    return Thread(
        name=row.name,
        owner=row.owner,
        status=row.status,
        created_at=aware(row.created_at),
        updated_at=aware(row.updated_at),
        tags=json.loads(row.tags),
    )


def no_thread(name: str) -> NotFoundError:
    """The error for a thread that there is not, or that is none of the caller's business."""
    return NotFoundError(f"no thread {name!r}", "`perennial threads list` names those there are")
