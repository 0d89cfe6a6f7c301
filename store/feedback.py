"""Feedback: what users say of an answer, kept with the version that gave it.

One rating for each episode; a later one takes the place of an earlier. Judges nothing. Called by
the HTTP API and by the watch over versions.
"""

from datetime import datetime
from typing import Literal

from sqlalchemy import delete, insert, select

from store.database import Database
from store.episodes import no_episode
from store.records import Episode, Record, utc_now
from store.tables import episodes, moment, pack, unpack
from store.tables import feedback as table

Rating = Literal["up", "down"]


class Feedback(Record):
    """What a user said of one episode."""

    episode: str
    thread: str
    version: str
    """The version that answered."""
    rating: Rating
    correction: str | None = None
    """What the answer should have been."""
    created_at: datetime


class FeedbackTable:
    """The table of feedback."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, episode: str, rating: Rating, correction: str | None = None) -> Feedback:
        """Store what is said of an episode, in place of what was said before. NotFoundError."""
        with self._database.begin() as db:
            row = db.scalar(select(episodes.c.record).where(episodes.c.id == episode))
            if row is None:
                raise no_episode(episode)
            about = unpack(Episode, row)
            said = Feedback(
                episode=episode,
                thread=about.thread,
                version=about.version,
                rating=rating,
                correction=correction,
                created_at=utc_now(),
            )
            db.execute(delete(table).where(table.c.episode == episode))
            db.execute(
                insert(table).values(
                    episode=episode,
                    version=said.version,
                    created_at=moment(said.created_at),
                    record=pack(said),
                )
            )
        return said

    def get(self, episode: str) -> Feedback | None:
        """What was said of an episode, None where nothing was."""
        with self._database.read() as db:
            row = db.scalar(select(table.c.record).where(table.c.episode == episode))
        return None if row is None else unpack(Feedback, row)

    def of_version(self, version: str, since: datetime) -> list[Feedback]:
        """What was said of a version's answers from `since` on, oldest first."""
        query = select(table.c.record).where(
            table.c.version == version, table.c.created_at >= moment(since)
        )
        with self._database.read() as db:
            rows = db.scalars(query.order_by(table.c.created_at, table.c.episode)).all()
        return [unpack(Feedback, row) for row in rows]

    def corrected(self) -> list[Feedback]:
        """All that says what the answer should have been, oldest first."""
        query = select(table.c.record).order_by(table.c.created_at, table.c.episode)
        with self._database.read() as db:
            said = [unpack(Feedback, row) for row in db.scalars(query)]
        return [one for one in said if one.correction]
