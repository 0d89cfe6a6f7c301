"""Search over the accepted documents, and the index that it goes by.

The database is the truth. The search index follows it: each row says whether it is indexed, and
every search first catches up, so a kill between the two, or another process that accepts, leaves
nothing wrong. Called by store/documents.py.
"""

import threading
from collections.abc import Callable, Sequence

from sqlalchemy import select, update

from store.database import Database
from store.document_rows import MANY, read_document
from store.index import PassageIndex
from store.passages import Passage
from store.records import DocumentState
from store.tables import documents


class Search:
    """Finds passages of accepted documents."""

    def __init__(self, database: Database, index: PassageIndex) -> None:
        self._database = database
        self._index = index
        self._catching_up = threading.Lock()
        self._checked_load = 0

    def find(self, query: str, k: int) -> list[Passage]:
        """At most `k` passages of accepted documents, the best first."""
        self.catch_up()
        found = self._index.search(query, k)
        with self._database.read() as db:
            accepted = set(
                db.scalars(
                    select(documents.c.digest)
                    .where(documents.c.digest.in_([p.document for p in found]))
                    .where(documents.c.state == DocumentState.ACCEPTED)
                )
            )
        # A document withdrawn while we searched must not be shown.
        return [passage for passage in found if passage.document in accepted]

    def catch_up(self, progress: Callable[[int], None] | None = None) -> int:
        """Bring the search index up to the database; how many documents it changed."""
        with self._catching_up:
            self._check_index()
            changed = 0
            # One document at a time, so that a kill loses the work on one at most.
            while behind := self._behind():
                for digest in behind:
                    with self._database.read() as db:
                        document = read_document(db, digest)
                    if document.state is DocumentState.ACCEPTED:
                        self._index.put(document)
                    else:
                        self._index.drop(digest)
                    self._mark(digest, indexed=document.state is DocumentState.ACCEPTED)
                    changed += 1
                    if progress:
                        progress(changed)
        return changed

    def clear(self) -> None:
        """Forget what is indexed; the next search makes it anew."""
        with self._catching_up:
            self._index.clear()

    def close(self) -> None:
        """Close the search index."""
        self._index.close()

    def _check_index(self) -> None:
        """Whenever it was opened: an index without content (deleted, of another embedder, a server
        that began anew) is filled again."""
        loads = self._index.loads()
        if loads != self._checked_load and self._index.empty():
            with self._database.begin() as db:
                indexed = update(documents).where(documents.c.indexed.is_(True))
                db.execute(indexed.values(indexed=False))
        self._checked_load = loads

    def _behind(self) -> Sequence[str]:
        """Some documents that the index does not show as they are; none when none is left."""
        accepted = documents.c.state == DocumentState.ACCEPTED
        # Two questions: a comparison of the columns with each other could use no index.
        missing = select(documents.c.digest).where(documents.c.indexed.is_(False), accepted)
        others = [state for state in DocumentState if state is not DocumentState.ACCEPTED]
        extra = select(documents.c.digest).where(
            documents.c.indexed.is_(True), documents.c.state.in_(others)
        )
        with self._database.read() as db:
            gone = db.scalars(extra.limit(MANY)).all()
            return gone or db.scalars(missing.limit(MANY)).all()

    def _mark(self, digest: str, *, indexed: bool) -> None:
        with self._database.begin() as db:
            row = update(documents).where(documents.c.digest == digest)
            db.execute(row.values(indexed=indexed))
