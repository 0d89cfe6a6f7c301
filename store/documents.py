"""Documents: texts from outside and their life.

What may follow what in a document's life is decided here, and by nobody else. Comparing texts is
store/taking.py's business, finding passages store/search.py's, fetching and judging adapt/gather's.
Called by the cycle, the agent's search tool and the command line.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from store.database import Database
from store.document_rows import (
    SCAN,
    chunks,
    digest_beginning,
    digests_in,
    known_digests,
    last_change,
    next_change,
    read_document,
    read_documents,
    states_of,
    write_documents,
)
from store.errors import NotFoundError, StateError
from store.passages import Passage
from store.records import (
    DOCUMENT_TRANSITIONS,
    CorpusSnapshot,
    Document,
    DocumentState,
    digest_of,
)
from store.search import Differences, Search
from store.tables import documents, moment, near_duplicates, pack, snapshots, unpack
from store.taking import Taken, Taking


@dataclass(frozen=True)
class Duplicate:
    """A document that says what another says."""

    document: str
    of: str
    """Digest of the other one."""
    similarity: float
    """Share of word groups in common (Jaccard)."""


class Documents:
    """The table of documents and its search index. Only `search`, `reindex` and `catch_up` use
    Chroma; everything else may be called from any process."""

    def __init__(self, database: Database, search: Search) -> None:
        self._database = database
        self._taking = Taking(database)
        self._search = search

    def take(self, given: Sequence[Document], near: float = 0.9) -> Taken:
        """Take in what a visit found (store.normal.new_document makes it), some hundreds at a time,
        all or none: what is new is stored, to be judged, and what is known or says what is known
        is told apart. Where each was seen is noted as an edition. `near` is the similarity from
        which a text is a duplicate (`gather.near_duplicate`)."""
        return self._taking.take(given, near)

    def add(self, document: Document) -> bool:
        """Store a document; False when its digest is already stored, whatever its state."""
        return bool(self.add_all([document]))

    def add_all(self, given: Iterable[Document]) -> list[str]:
        """Store those that are not stored yet as they are, all or none; their digests. They are
        compared with nothing: what comes from a source is taken in with `take`."""
        new = {document.digest: document for document in given}
        with self._database.begin() as db:
            for digest in known_digests(db, new):
                del new[digest]
            write_documents(db, new.values())
        return list(new)

    def get(self, digest: str) -> Document:
        """One document. Raises NotFoundError."""
        with self._database.read() as db:
            return read_document(db, digest)

    def get_all(self, digests: Iterable[str]) -> list[Document]:
        """Those of the digests that are stored, in the order given."""
        wanted = list(dict.fromkeys(digests))
        with self._database.read() as db:
            found = read_documents(db, wanted)
        return [found[digest] for digest in wanted if digest in found]

    def find(self, beginning: str) -> str:
        """The one digest that begins so. NotFoundError for none, or for several."""
        with self._database.read() as db:
            return digest_beginning(
                db, documents.c.digest, beginning, "document",
                "perennial documents list has their digests",
            )  # fmt: skip

    def accept(self, digest: str) -> None:
        """Let a document reach search and training. Raises StateError, NotFoundError."""
        self._move(digest, DocumentState.ACCEPTED)

    def accept_all(self, digests: Sequence[str]) -> None:
        """Let new documents reach search and training, all or none. One that is no longer new was
        decided about meanwhile, and stays as it is. Raises NotFoundError."""
        with self._database.begin() as db:
            new = [d for d, state in states_of(db, digests) if state is DocumentState.NEW]
            _write_state(db, new, DocumentState.ACCEPTED)

    def quarantine(self, digest: str) -> None:
        """Keep a document from search and training for now. Its duplicates are new again: who
        holds back one text must not thereby keep out all that are like it. Raises StateError,
        NotFoundError."""
        self._move(digest, DocumentState.QUARANTINED)

    def withdraw(self, digest: str) -> None:
        """Take a document out for ever. Its duplicates stay out as duplicates: they say what was
        withdrawn. Raises StateError, NotFoundError."""
        self._move(digest, DocumentState.WITHDRAWN)

    def duplicate_of(self, digest: str) -> Duplicate | None:
        """What a document is a near duplicate of, None when it is none."""
        query = select(near_duplicates).where(near_duplicates.c.document == digest)
        with self._database.read() as db:
            row = db.execute(query).one_or_none()
        return Duplicate(*row) if row else None

    def duplicates_of(self, digest: str) -> list[Duplicate]:
        """The near duplicates of a document, the most similar first."""
        query = select(near_duplicates).where(near_duplicates.c.of == digest)
        with self._database.read() as db:
            found = [Duplicate(*row) for row in db.execute(query)]
        return sorted(found, key=lambda d: (-d.similarity, d.document))

    def search(
        self, query: str, k: int = 4, by: Sequence[str] = ("vectors", "words")
    ) -> list[Passage]:
        """At most `k` passages of accepted documents, the best first. `by` both rankings together,
        or by one of them."""
        return self._search.find(query, k, by)

    def differences(self) -> Differences:
        """Where the search index and the database differ; changes nothing."""
        return self._search.differences()

    def snapshot(self, digests: Iterable[str]) -> CorpusSnapshot:
        """The corpus of these documents, in canonical order, stored under its digest.

        Raises NotFoundError for an unknown digest, StateError for one that is not accepted.
        """
        ordered = tuple(sorted(set(digests)))
        snapshot = CorpusSnapshot(digest=digest_of(list(ordered)), documents=ordered)
        with self._database.begin() as db:
            accepted = digests_in(db, DocumentState.ACCEPTED) if len(ordered) > SCAN else set()
            for digest, state in states_of(db, [d for d in ordered if d not in accepted]):
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
        return self._search.catch_up(progress)

    def reindex(self, progress: Callable[[int], None] | None = None) -> int:
        """Build the search index anew from the database; how many documents it holds."""
        self._search.clear()
        return self._search.catch_up(progress)

    def close(self) -> None:
        """Close the search index."""
        self._search.close()

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
            return digests_in(db, *states)

    def last_change(self) -> int:
        """What is another number as soon as any document was stored or has another state."""
        with self._database.read() as db:
            return last_change(db)

    def since(self, source: str, when: datetime) -> Sequence[str]:
        """Digests of what came from a source later than that, in whatever state."""
        query = select(documents.c.digest).where(
            documents.c.source == source, documents.c.fetched_at > moment(when)
        )
        with self._database.read() as db:
            return sorted(db.scalars(query))

    def count_by_state(self) -> dict[DocumentState, int]:
        """How many documents are in each state that any is in."""
        query = select(documents.c.state, func.count()).group_by(documents.c.state)
        with self._database.read() as db:
            return {DocumentState(state): count for state, count in db.execute(query)}

    def count_by_source(self) -> dict[str, int]:
        """How many documents came from each source, by its name."""
        query = select(documents.c.source, func.count()).group_by(documents.c.source)
        with self._database.read() as db:
            return {row.source: row[1] for row in db.execute(query)}

    def _move(self, digest: str, state: DocumentState) -> None:
        with self._database.begin() as db:
            move_document(db, digest, state)


def move_document(db: Connection, digest: str, state: DocumentState) -> None:
    """The one writer of the states of documents that have been judged, inside a transaction of the
    caller's. Raises StateError, NotFoundError."""
    present = read_document(db, digest).state
    if state not in DOCUMENT_TRANSITIONS[present]:
        allowed = ", ".join(sorted(DOCUMENT_TRANSITIONS[present])) or "nothing"
        raise StateError(
            f"document {digest} is {present} and cannot become {state}",
            f"it can become: {allowed}",
        )
    _write_state(db, [digest], state)
    if present is DocumentState.DUPLICATE and state is not DocumentState.WITHDRAWN:
        db.execute(delete(near_duplicates).where(near_duplicates.c.document == digest))
    if state is DocumentState.QUARANTINED:
        _release_duplicates(db, digest)


def _write_state(db: Connection, digests: Iterable[str], state: DocumentState) -> None:
    change = next_change(db)
    for some in chunks(digests):
        rows = update(documents).where(documents.c.digest.in_(some))
        db.execute(rows.values(state=state, changed=change))


def _release_duplicates(db: Connection, digest: str) -> None:
    """The near duplicates of a document are new again, to be judged by themselves."""
    rows = near_duplicates.c.of == digest
    found = db.scalars(select(near_duplicates.c.document).where(rows)).all()
    held = [d for d, state in states_of(db, found) if state is DocumentState.DUPLICATE]
    _write_state(db, held, DocumentState.NEW)
    db.execute(delete(near_duplicates).where(rows))
