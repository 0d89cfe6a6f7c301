"""Episodes: what the agent did, run by run. Written once and never changed.

Called by the agent at the end of a run, and by the command line.
"""

from sqlalchemy import insert, select

from store.database import Database
from store.errors import NotFoundError
from store.records import Episode
from store.tables import episodes, moment, pack, unpack


class Episodes:
    """The table of episodes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, episode: Episode) -> None:
        """Store an episode. Raises StateError when its id is taken."""
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

    def list(self, limit: int = 50) -> list[Episode]:
        """The latest episodes, newest first."""
        query = select(episodes.c.record).order_by(episodes.c.created_at.desc(), episodes.c.id)
        with self._database.read() as db:
            rows = db.scalars(query.limit(limit)).all()
        return [unpack(Episode, row) for row in rows]

    def get(self, id: str) -> Episode:
        """One episode. Raises NotFoundError."""
        with self._database.read() as db:
            row = db.scalar(select(episodes.c.record).where(episodes.c.id == id))
        if row is None:
            raise NotFoundError(f"no episode {id!r}", "the id is in the answer's metadata")
        return unpack(Episode, row)
