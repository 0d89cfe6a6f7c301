"""Runs that clients of the LangGraph protocol started on threads: what they were, how they ended.

What they did is in the thread and in its episodes. Called by the HTTP API.
"""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, delete, insert, select, update

from store.database import Database
from store.errors import NotFoundError
from store.records import Record, utc_now
from store.tables import moment, pack, runs, unpack
from store.threads import occupy

RunStatus = Literal["pending", "running", "error", "success", "timeout", "interrupted"]
UNDER_WAY: tuple[RunStatus, ...] = ("pending", "running")


class ThreadRun(Record):
    """One run."""

    id: str
    thread: str
    """Its thread's name among those of all owners."""
    assistant: str
    status: RunStatus = "pending"
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, Any]
    """What the client said of it."""
    strategy: str
    """What was to be done with a run that was under way on the thread."""
    error: str = ""


class ThreadRuns:
    """The table of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, run: ThreadRun) -> None:
        """Store a new run."""
        with self._database.begin() as db:
            _insert(db, run)

    def begin(self, run: ThreadRun) -> None:
        """The same, and its thread is busy with it and tagged with its assistant, all at once.
        NotFoundError for no thread."""
        with self._database.begin() as db:
            occupy(db, run.thread, {"assistant_id": run.assistant})
            _insert(db, run)

    def mark(self, run: ThreadRun, status: RunStatus, error: str = "") -> ThreadRun:
        """Say what became of a run; nothing is kept where it is gone."""
        changed = run.model_copy(update={"status": status, "error": error, "updated_at": utc_now()})
        with self._database.begin() as db:
            row = update(runs).where(runs.c.id == run.id)
            db.execute(row.values(status=status, record=pack(changed, _OWN)))
        return changed

    def settle(self) -> None:
        """No run is under way, whatever the rows say: their process is gone."""
        with self._database.begin() as db:
            db.execute(update(runs).where(runs.c.status.in_(UNDER_WAY)).values(status="error"))

    def get(self, thread: str, id: str) -> ThreadRun:
        """One run of a thread. NotFoundError."""
        query = select(runs).where(runs.c.id == id, runs.c.thread == thread)
        with self._database.read() as db:
            row = db.execute(query).one_or_none()
        if row is None:
            raise NotFoundError(f"no run {id!r} on that thread")
        return _run(row)

    def list(
        self, thread: str, limit: int = 10, offset: int = 0, status: RunStatus | None = None
    ) -> list[ThreadRun]:
        """A thread's runs, the latest first."""
        query = select(runs).where(runs.c.thread == thread)
        if status is not None:
            query = query.where(runs.c.status == status)
        query = query.order_by(runs.c.created_at.desc(), runs.c.id).limit(limit).offset(offset)
        with self._database.read() as db:
            return [_run(row) for row in db.execute(query)]

    def delete(self, thread: str, id: str) -> None:
        """Forget a run; what it did to its thread stays. NotFoundError."""
        with self._database.begin() as db:
            gone = db.execute(delete(runs).where(runs.c.id == id, runs.c.thread == thread))
        if not gone.rowcount:
            raise NotFoundError(f"no run {id!r} on that thread")


_OWN = ("id", "thread", "status")


def _insert(db: Connection, run: ThreadRun) -> None:
    values = {"id": run.id, "thread": run.thread, "status": run.status}
    made = moment(run.created_at)
    db.execute(insert(runs).values(**values, created_at=made, record=pack(run, _OWN)))


def _run(row: Any) -> ThreadRun:
    return unpack(ThreadRun, row.record, id=row.id, thread=row.thread, status=row.status)
