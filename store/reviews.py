"""Reviews: documents that are kept back, why, and what a person decided about them.

A document is held and let go here, together with its state, in one transaction. What speaks against
one is found by adapt/gather. Called by adapt.gather, the command line and the server.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Select, func, insert, select, update

from store.database import Database
from store.document_rows import digest_beginning, states_of
from store.documents import move_document
from store.errors import NotFoundError, StateError, UserError
from store.records import Document, DocumentState, utc_now
from store.source_records import Finding, Review
from store.tables import documents, moment, pack, reviews, unpack

Decision = Literal["accepted", "withdrawn"]
_STATES = {"accepted": DocumentState.ACCEPTED, "withdrawn": DocumentState.WITHDRAWN}
_LISTED = "`perennial documents review` lists them"
_HELD = frozenset({DocumentState.NEW, DocumentState.ACCEPTED, DocumentState.QUARANTINED})


class Reviews:
    """The table of reviews: one for each document that was ever held."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def hold(self, found: Mapping[str, Sequence[Finding]]) -> list[str]:
        """Keep documents back, new or accepted ones, all or none; the digests of those that were
        not held before.

        One that waits already gets the findings that it lacks. One that a person accepted, and one
        that is withdrawn or a duplicate, stays as it is. Raises NotFoundError.
        """
        held: list[str] = []
        with self._database.begin() as db:
            for digest, state in states_of(db, list(found)):
                before = _read(db, digest)
                if state not in _HELD or (before is not None and before.decision is not None):
                    continue
                if state is not DocumentState.QUARANTINED:
                    move_document(db, digest, DocumentState.QUARANTINED)
                    held.append(digest)
                old = before.findings if before else ()
                new = tuple(dict.fromkeys((*old, *found[digest])))
                now = before.held_at if before else utc_now()
                _write(db, Review(document=digest, findings=new, held_at=now), before is None)
        return held

    def decide(self, document: str, decision: Decision, *, why: str, by: str) -> Review:
        """Let a held document reach search and training, or take it out for ever.

        Raises NotFoundError for one that was never held, StateError for one that is decided about,
        UserError without a reason.
        """
        if not why.strip():
            raise UserError("a decision needs a reason", "say why, for whoever asks later")
        with self._database.begin() as db:
            review = self._waiting(db, document)
            move_document(db, document, _STATES[decision])
            decided = review.model_copy(
                update={
                    "decision": decision, "decided_by": by, "reason": why.strip(),
                    "decided_at": utc_now(),
                }
            )  # fmt: skip
            _write(db, decided, new=False)
        return decided

    def get(self, document: str) -> Review:
        """The review of a document. Raises NotFoundError."""
        with self._database.read() as db:
            return _get(db, document)

    def find(self, beginning: str) -> str:
        """The one digest that begins so. NotFoundError for none, or for several."""
        with self._database.read() as db:
            return digest_beginning(db, reviews.c.document, beginning, "held document", _LISTED)

    def list(self, *, waiting: bool = True, most: int = 1000, after: int = 0) -> list[Review]:
        """Those that wait for a person, or all; the one held longest first."""
        query = select(reviews.c.record).order_by(reviews.c.held_at, reviews.c.document)
        if waiting:
            query = _waiting(query)
        with self._database.read() as db:
            rows = db.scalars(query.offset(after).limit(most)).all()
        return [unpack(Review, row) for row in rows]

    def count_waiting(self) -> int:
        """How many wait for a person."""
        with self._database.read() as db:
            return db.scalar(_waiting(select(func.count()).select_from(reviews))) or 0

    def _waiting(self, db: Connection, document: str) -> Review:
        review = _get(db, document)
        if review.decision is not None:
            raise StateError(
                f"document {document} was {review.decision} by {review.decided_by}: "
                f"{review.reason}",
                "withdraw an accepted document with `perennial documents withdraw`"
                if review.decision == "accepted"
                else "what is withdrawn stays out",
            )
        return review


def told(review: Review, document: Document) -> dict[str, Any]:
    """A review as JSON, with what its document is."""
    return review.model_dump(mode="json") | {
        "title": document.title, "source": document.source, "address": document.address,
        "kind": document.kind, "trust": document.trust, "state": document.state.value,
    }  # fmt: skip


def _waiting(query: Select[Any]) -> Select[Any]:
    """Only undecided ones; what was withdrawn otherwise needs nobody any more."""
    return query.join(documents, documents.c.digest == reviews.c.document).where(
        reviews.c.decision.is_(None), documents.c.state == DocumentState.QUARANTINED
    )


def _read(db: Connection, document: str) -> Review | None:
    row = db.scalar(select(reviews.c.record).where(reviews.c.document == document))
    return None if row is None else unpack(Review, row)


def _get(db: Connection, document: str) -> Review:
    review = _read(db, document)
    if review is None:
        raise _missing(document)
    return review


def _missing(document: str) -> NotFoundError:
    return NotFoundError(f"no held document {document!r}", _LISTED)


def _write(db: Connection, review: Review, new: bool) -> None:
    values = {
        "decision": review.decision, "held_at": moment(review.held_at), "record": pack(review),
    }  # fmt: skip
    if new:
        db.execute(insert(reviews).values(document=review.document, **values))
    else:
        db.execute(update(reviews).where(reviews.c.document == review.document).values(values))
