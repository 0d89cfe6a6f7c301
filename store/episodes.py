"""Episodes: what the agent did, run by run. Written once and never changed.

Called by the agent at the end of a run, by the watch over versions, and by the command line.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from sqlalchemy import Select, func, insert, select

from store.database import Database
from store.errors import NotFoundError
from store.records import Episode
from store.tables import aware, episodes, moment, pack, unpack
from store.threads import touch


class Episodes:
    """The table of episodes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, episode: Episode) -> None:
        """Store an episode, and take note of its thread. StateError when its id is taken."""
        with self._database.begin() as db:
            db.execute(
                insert(episodes).values(
                    id=episode.id,
                    thread=episode.thread,
                    version=episode.version,
                    created_at=moment(episode.created_at),
                    record=pack(episode),
                )
            )
            if episode.thread != episode.id:
                touch(db, episode.thread, episode.owner, episode.created_at)

    def of_version(self, version: str, since: datetime) -> Iterator[Episode]:
        """A version's episodes from `since` on, in the order in which they ended."""
        query = (
            select(episodes.c.record)
            .where(episodes.c.version == version, episodes.c.created_at >= moment(since))
            .order_by(episodes.c.created_at, episodes.c.id)
        )
        return self._read(query)

    def before(self, version: str, until: datetime, limit: int) -> Iterator[Episode]:
        """A version's last episodes that ended before `until`, newest first."""
        query = (
            select(episodes.c.record)
            .where(episodes.c.version == version, episodes.c.created_at < moment(until))
            .order_by(episodes.c.created_at.desc(), episodes.c.id)
        )
        return self._read(query.limit(limit))

    def count_of(self, versions: Collection[str]) -> int:
        """How many runs these versions answered."""
        total = 0
        with self._database.read() as db:
            for version in versions:
                query = select(func.count()).select_from(episodes)
                total += db.scalar(query.where(episodes.c.version == version)) or 0
        return total

    def of_thread(self, thread: str, limit: int = 200) -> Sequence[Episode]:
        """A thread's last runs, in the order in which they ended."""
        query = select(episodes.c.record).where(episodes.c.thread == thread)
        order = (episodes.c.created_at.desc(), episodes.c.id)
        with self._database.read() as db:
            rows = db.scalars(query.order_by(*order).limit(limit)).all()
        return [unpack(Episode, row) for row in reversed(rows)]

    def list(self, limit: int = 50) -> list[Episode]:
        """The latest episodes, newest first."""
        query = select(episodes.c.record).order_by(episodes.c.created_at.desc(), episodes.c.id)
        with self._database.read() as db:
            rows = db.scalars(query.limit(limit)).all()
        return [unpack(Episode, row) for row in rows]

    def first_of(self, thread: str) -> tuple[str, datetime] | None:
        """Version and end of a thread's first run, None where none has ended yet."""
        query = (
            select(episodes.c.version, episodes.c.created_at)
            .where(episodes.c.thread == thread)
            .order_by(episodes.c.created_at)
        )
        with self._database.read() as db:
            row = db.execute(query.limit(1)).one_or_none()
        return None if row is None else (row.version, aware(row.created_at))

    def _read(self, query: Select[str]) -> Iterator[Episode]:
        with self._database.read() as db:
            for row in db.scalars(query):
                yield unpack(Episode, row)

    def get(self, id: str) -> Episode:
        """One episode. Raises NotFoundError."""
        with self._database.read() as db:
            row = db.scalar(select(episodes.c.record).where(episodes.c.id == id))
        if row is None:
            raise no_episode(id)
        return unpack(Episode, row)


def no_episode(id: str) -> NotFoundError:
    """The error for an episode that there is not, or that is none of the caller's business."""
    return NotFoundError(f"no episode {id!r}", "its id is `perennial.episode` in the answer")
