"""Search over the accepted documents: by vectors and by words, the two rankings fused.

The database is the truth, and says what may be found and what it says; the two indices follow it.
For vectors each row says whether it is indexed, as Chroma has no transaction with the database;
the words' file says itself how far it has followed. Both are brought up before a search, so a kill,
or another process that accepts, leaves nothing wrong. Called by store/documents.py.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select, tuple_, update

from store.database import Database
from store.document_rows import MANY, read_document, read_documents
from store.embeddings import Embedder
from store.fusion import Place, fused
from store.index import PassageIndex
from store.keywords import KeywordIndex
from store.passages import Passage, passages_of
from store.records import Document, DocumentState
from store.tables import documents, unpack

Progress = Callable[[int], None]
_ASKED = 20
"""Passages that each index is asked for at least: what one of them alone finds has a chance."""
_PATIENCE_S = 3.0
"""How long a search may embed what is new; the rest is found by its words until then."""
_NOTHING = (-1, "")
"""Where an index of words begins."""


@dataclass(frozen=True)
class Differences:
    """Where an index and the database differ, by digests of documents."""

    documents: int
    """Accepted ones, which must be in both."""
    passages: int
    """Of these."""
    missing: dict[str, list[str]] = field(default_factory=dict)
    """By index: accepted documents that it has not, or not whole."""
    extra: dict[str, list[str]] = field(default_factory=dict)
    """By index: documents that it has and that may not be found."""

    @property
    def same(self) -> bool:
        """Whether there are none."""
        return not any([*self.missing.values(), *self.extra.values()])


class Search:
    """Finds passages of accepted documents."""

    def __init__(
        self, database: Database, index: PassageIndex, keywords: KeywordIndex, embedder: Embedder
    ) -> None:
        self._database = database
        self._index = index
        self._keywords = keywords
        self._embedder = embedder
        self._catching_up = threading.Lock()
        self._checked_load = 0

    def find(self, query: str, k: int, by: Sequence[str] = ("vectors", "words")) -> list[Passage]:
        """At most `k` passages of accepted documents, the best first; by both or one of the two."""
        self._follow_words()
        if self._catching_up.acquire(blocking=False):
            # Else another thread is at it: who asks need not wait for all that is new.
            try:
                self._follow_vectors(None, _PATIENCE_S)
            finally:
                self._catching_up.release()
        asked = max(_ASKED, 4 * k)
        (vector,) = self._embedder.embed([query])
        near = self._index.search(vector, asked) if "vectors" in by else {}
        worded = self._keywords.search(query, asked) if "words" in by else []
        places = fused([list(near), worded])
        with self._database.read() as db:
            found = read_documents(db, {place.document for place in places})
        # Asked of the database now: what was withdrawn or held back meanwhile must not be shown,
        # and must not take the place of what may be.
        allowed = [
            place
            for place in places
            if place.document in found and found[place.document].state is DocumentState.ACCEPTED
        ][:k]
        missing = [place for place in allowed if place not in near]
        near |= self._index.similarities(vector, missing)
        cut = {place.document: passages_of(found[place.document]) for place in allowed}
        return [
            _passage(found[place.document], place, cut[place.document], near.get(place, 0.0))
            for place in allowed
            if place.position < len(cut[place.document])
        ]

    def catch_up(self, progress: Progress | None = None) -> int:
        """Bring both indices up to the database; how many documents' vectors it changed."""
        self._follow_words()
        with self._catching_up:
            return self._follow_vectors(progress, None)

    def clear(self) -> None:
        """Forget what is indexed; the next search makes it anew."""
        with self._catching_up, self._keywords.following():
            self._keywords.clear()
            self._index.clear()

    def close(self) -> None:
        """Close both indices."""
        self._index.close()
        self._keywords.close()

    def differences(self) -> Differences:
        """Compare both indices with the database as they are, without catching up."""
        wanted: dict[str, int] = {}
        query = select(documents.c.record).where(documents.c.state == DocumentState.ACCEPTED)
        with self._database.read() as db:
            for row in db.scalars(query.execution_options(yield_per=MANY)):
                document = unpack(Document, row, state=DocumentState.ACCEPTED)
                wanted[document.digest] = len(passages_of(document))
        has = {"vectors": self._index.counts(), "words": self._keywords.counts()}
        return Differences(
            documents=len(wanted),
            passages=sum(wanted.values()),
            missing={
                name: sorted(d for d, count in wanted.items() if held.get(d, 0) != count)
                for name, held in has.items()
            },
            extra={name: sorted(held.keys() - wanted.keys()) for name, held in has.items()},
        )

    def _follow_words(self) -> None:
        """Bring the words up to the database, some hundreds of documents in a transaction."""
        change, digest = documents.c.changed, documents.c.digest
        query = select(change, digest, documents.c.record, documents.c.state)
        query = query.order_by(change, digest).limit(MANY)
        newest = select(change, digest).order_by(change.desc(), digest.desc()).limit(1)
        while True:
            with self._database.read() as db:
                last = tuple(db.execute(newest).one_or_none() or _NOTHING)
            if self._keywords.position() == last:
                return
            with self._keywords.following() as position:
                with self._database.read() as db:
                    # Read again, as other processes follow too: only what is beyond the last
                    # change is of a database that was set back to an older one.
                    if position > tuple(db.execute(newest).one_or_none() or _NOTHING):
                        self._keywords.clear()
                        position = _NOTHING
                    rows = db.execute(query.where(tuple_(change, digest) > position)).all()
                for row in rows:
                    if row.state == DocumentState.ACCEPTED:
                        document = unpack(Document, row.record, state=row.state)
                        self._keywords.put(row.digest, document.title, passages_of(document))
                    else:
                        self._keywords.drop(row.digest)
                if rows:
                    self._keywords.followed(rows[-1].changed, rows[-1].digest)

    def _follow_vectors(self, progress: Progress | None, patience: float | None) -> int:
        self._check_index()
        # From here on: opening Chroma alone may take as long.
        until = None if patience is None else time.monotonic() + patience
        changed = 0
        # One document at a time, so that a kill loses the work on one at most.
        while behind := self._behind():
            for digest in behind:
                if until is not None and time.monotonic() > until:
                    return changed
                with self._database.read() as db:
                    document = read_document(db, digest)
                accepted = document.state is DocumentState.ACCEPTED
                if accepted:
                    self._index.put(digest, document.title, passages_of(document))
                else:
                    self._index.drop(digest)
                self._mark(digest, indexed=accepted)
                changed += 1
                if progress:
                    progress(changed)
        return changed

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


def _passage(document: Document, place: Place, texts: Sequence[str], score: float) -> Passage:
    return Passage(
        document=document.digest,
        title=document.title,
        text=texts[place.position],
        score=score,
        address=document.address,
        position=place.position,
    )
