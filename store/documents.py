"""Documents: texts from outside, their life, and search over those that were accepted.

The database is the truth. The search index follows it: each row says whether it is indexed, and
every search first catches up, so a kill between the two, or another process that accepts, leaves
nothing wrong. Fetching and judging documents is adapt/gather's business. Called by the cycle, the
agent's search tool and the command line.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection, func, insert, select, update

from store.database import Database
from store.errors import NotFoundError, StateError
from store.index import PassageIndex
from store.passages import Passage
from store.records import (
    DOCUMENT_TRANSITIONS,
    CorpusSnapshot,
    Document,
    DocumentState,
    digest_of,
)
from store.tables import documents, moment, pack, snapshots, unpack

T = TypeVar("T")
_MANY = 500
"""Digests in one statement: both databases bound how many values one may have."""
_SCAN = 10_000
"""Rows at a time of a long list. Reading all is quicker than asking for more than these."""


class Documents:
    """The table of documents and its search index. Only `search`, `reindex` and `catch_up` use
    Chroma; everything else may be called from any process."""

    def __init__(self, database: Database, index: PassageIndex) -> None:
        self._database = database
        self._index = index
        self._catching_up = threading.Lock()
        self._checked_load = 0

    def add(self, document: Document) -> bool:
        """Store a document; False when its digest is already stored, whatever its state."""
        return bool(self.add_all([document]))

    def add_all(self, given: Iterable[Document]) -> list[str]:
        """Store those that are not stored yet, all or none; their digests. Others stay as they
        are, whatever their state."""
        new = {document.digest: document for document in given}
        with self._database.begin() as db:
            for some in _chunks(list(new)):
                known = select(documents.c.digest).where(documents.c.digest.in_(some))
                for digest in db.scalars(known):
                    del new[digest]
            if new:
                db.execute(insert(documents), [_row(document) for document in new.values()])
        return list(new)

    def get(self, digest: str) -> Document:
        """One document. Raises NotFoundError."""
        with self._database.read() as db:
            return _get(db, digest)

    def accept(self, digest: str) -> None:
        """Let a document reach search and training. Raises StateError, NotFoundError."""
        self._move(digest, DocumentState.ACCEPTED)

    def quarantine(self, digest: str) -> None:
        """Keep a document from search and training for now. Raises StateError, NotFoundError."""
        self._move(digest, DocumentState.QUARANTINED)

    def withdraw(self, digest: str) -> None:
        """Take a document out for ever. Raises StateError, NotFoundError."""
        self._move(digest, DocumentState.WITHDRAWN)

    def search(self, query: str, k: int = 4) -> list[Passage]:
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

    def snapshot(self, digests: Iterable[str]) -> CorpusSnapshot:
        """The corpus of these documents, in canonical order, stored under its digest.

        Raises NotFoundError for an unknown digest, StateError for one that is not accepted.
        """
        ordered = tuple(sorted(set(digests)))
        snapshot = CorpusSnapshot(digest=digest_of(list(ordered)), documents=ordered)
        with self._database.begin() as db:
            accepted = _digests(db, DocumentState.ACCEPTED) if len(ordered) > _SCAN else set()
            for digest, state in _states(db, [d for d in ordered if d not in accepted]):
                if state is not DocumentState.ACCEPTED:
                    raise StateError(
                        f"document {digest} is {state} and cannot be learned from",
                        "accept it first, or leave it out",
                    )
            if not db.scalar(select(snapshots).where(snapshots.c.digest == snapshot.digest)):
                db.execute(insert(snapshots).values(digest=snapshot.digest, record=pack(snapshot)))
        return snapshot

    def get_snapshot(self, digest: str) -> CorpusSnapshot:
        """A stored corpus. Raises NotFoundError."""
        with self._database.read() as db:
            row = db.scalar(select(snapshots.c.record).where(snapshots.c.digest == digest))
        if row is None:
            raise NotFoundError(f"no corpus {digest!r}", "an update names its corpus")
        return unpack(CorpusSnapshot, row)

    def catch_up(self, progress: Callable[[int], None] | None = None) -> int:
        """Bring the search index up to the database; how many documents it changed so far is told
        to `progress`, and at the end returned.

        Every search does it; call it after accepting many, so that no user waits for it.
        """
        with self._catching_up:
            self._check_index()
            changed = 0
            # One document at a time, so that a kill loses the work on one at most.
            while behind := self._behind():
                for digest in behind:
                    document = self.get(digest)
                    if document.state is DocumentState.ACCEPTED:
                        self._index.put(document)
                    else:
                        self._index.drop(digest)
                    self._mark(digest, indexed=document.state is DocumentState.ACCEPTED)
                    changed += 1
                    if progress:
                        progress(changed)
        return changed

    def reindex(self) -> int:
        """Build the search index anew from the database; how many documents it holds."""
        with self._catching_up:
            self._index.clear()
        return self.catch_up()

    def close(self) -> None:
        """Close the search index."""
        self._index.close()

    def list(self, state: DocumentState | None = None) -> list[Document]:
        """All documents, or those in one state, in the order in which they were fetched."""
        query = select(documents.c.record, documents.c.state)
        if state is not None:
            query = query.where(documents.c.state == state)
        order = (documents.c.fetched_at, documents.c.digest)
        with self._database.read() as db:
            rows = db.execute(query.order_by(*order)).all()
        return [unpack(Document, row.record, state=row.state) for row in rows]

    def digests(self, *states: DocumentState) -> set[str]:
        """Digests of all documents, or of those in one of these states."""
        with self._database.read() as db:
            return _digests(db, *states)

    def count_by_source(self) -> dict[str, int]:
        """How many documents came from each source, by its name."""
        query = select(documents.c.source, func.count()).group_by(documents.c.source)
        with self._database.read() as db:
            return {row.source: row[1] for row in db.execute(query)}

    def _move(self, digest: str, state: DocumentState) -> None:
        """The one writer of document states."""
        with self._database.begin() as db:
            present = _get(db, digest).state
            if state not in DOCUMENT_TRANSITIONS[present]:
                allowed = ", ".join(sorted(DOCUMENT_TRANSITIONS[present])) or "nothing"
                raise StateError(
                    f"document {digest} is {present} and cannot become {state}",
                    f"it can become: {allowed}",
                )
            db.execute(update(documents).where(documents.c.digest == digest).values(state=state))

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
            gone = db.scalars(extra.limit(_MANY)).all()
            return gone or db.scalars(missing.limit(_MANY)).all()

    def _mark(self, digest: str, *, indexed: bool) -> None:
        with self._database.begin() as db:
            row = update(documents).where(documents.c.digest == digest)
            db.execute(row.values(indexed=indexed))


def _get(db: Connection, digest: str) -> Document:
    row = db.execute(
        select(documents.c.record, documents.c.state).where(documents.c.digest == digest)
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"no document {digest!r}", "documents.list() has their digests")
    return unpack(Document, row.record, state=row.state)


def _row(document: Document) -> dict[str, object]:
    return {
        "digest": document.digest,
        "source": document.source,
        "state": document.state,
        "indexed": False,
        "fetched_at": moment(document.fetched_at),
        "record": pack(document, without=("state",)),
    }


def _digests(db: Connection, *states: DocumentState) -> set[str]:
    query = select(documents.c.digest).execution_options(yield_per=_SCAN)
    if states:
        query = query.where(documents.c.state.in_(states))
    return set(db.scalars(query))


def _states(db: Connection, digests: Sequence[str]) -> Iterator[tuple[str, DocumentState]]:
    """The state of each, in order. Raises NotFoundError."""
    for some in _chunks(digests):
        query = select(documents.c.digest, documents.c.state).where(documents.c.digest.in_(some))
        found = {row.digest: row.state for row in db.execute(query)}
        for digest in some:
            yield (
                digest,
                DocumentState(found[digest]) if digest in found else _get(db, digest).state,
            )


def _chunks(values: Iterable[T]) -> Iterator[list[T]]:
    left = iter(values)
    while some := list(islice(left, _MANY)):
        yield some
