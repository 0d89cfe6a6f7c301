"""Documents as rows: reading and writing them inside a transaction of somebody else's.

Decides nothing: what may follow what is store/documents.py's and store/taking.py's business, which
are the callers, with the search.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from sqlalchemy import Column, Connection, func, insert, select

from store.errors import NotFoundError
from store.records import Document, DocumentState
from store.tables import documents, moment, pack, unpack

T = TypeVar("T")
MANY = 500
"""Digests in one statement: both databases bound how many values one may have."""
SCAN = 10_000
"""Rows at a time of a long list. Reading all is quicker than asking for more than these."""


def read_document(db: Connection, digest: str) -> Document:
    """One document. Raises NotFoundError."""
    found = read_documents(db, [digest])
    if not found:
        raise NotFoundError(f"no document {digest!r}", "perennial documents list has their digests")
    return found[digest]


def read_documents(db: Connection, digests: Iterable[str]) -> dict[str, Document]:
    """Those of the digests that are stored, by digest."""
    found: dict[str, Document] = {}
    columns = (documents.c.digest, documents.c.record, documents.c.state)
    for some in chunks(digests):
        for row in db.execute(select(*columns).where(documents.c.digest.in_(some))):
            found[row.digest] = unpack(Document, row.record, state=row.state)
    return found


def write_documents(db: Connection, new: Collection[Document]) -> None:
    """Store documents whose digests are not stored yet."""
    if new:
        change = next_change(db)
        db.execute(insert(documents), [_row(document, change) for document in new])


def last_change(db: Connection) -> int:
    """Number of the last transaction that changed a document; 0 before the first."""
    return db.scalar(select(func.max(documents.c.changed))) or 0


def next_change(db: Connection) -> int:
    """The number of this writing transaction, higher than any before: writers take turns."""
    return last_change(db) + 1


def known_digests(db: Connection, digests: Iterable[str]) -> set[str]:
    """Those that are stored, in whatever state."""
    known: set[str] = set()
    for some in chunks(digests):
        known.update(db.scalars(select(documents.c.digest).where(documents.c.digest.in_(some))))
    return known


def digests_in(db: Connection, *states: DocumentState) -> set[str]:
    """Digests of all documents, or of those in one of these states."""
    query = select(documents.c.digest).execution_options(yield_per=SCAN)
    if states:
        query = query.where(documents.c.state.in_(states))
    return set(db.scalars(query))


def states_of(db: Connection, digests: Sequence[str]) -> Iterator[tuple[str, DocumentState]]:
    """The state of each, in order. Raises NotFoundError."""
    for some in chunks(digests):
        query = select(documents.c.digest, documents.c.state).where(documents.c.digest.in_(some))
        found = {row.digest: row.state for row in db.execute(query)}
        for digest in some:
            if digest not in found:
                read_document(db, digest)
            yield digest, DocumentState(found[digest])


def chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """The values in lists that fit into one statement."""
    left = iter(values)
    while some := list(islice(left, MANY)):
        yield some


def _row(document: Document, change: int) -> dict[str, object]:
    return {
        "digest": document.digest,
        "source": document.source,
        "state": document.state,
        "indexed": False,
        "fetched_at": moment(document.fetched_at),
        "record": pack(document, without=("state",)),
        "changed": change,
    }


def digest_beginning(
    db: Connection, column: Column[str], beginning: str, what: str, hint: str
) -> str:
    """The one digest of a column that begins so, as people give it. NotFoundError, in words of
    `what` is looked for, for none and for several."""
    begins = column.startswith(beginning, autoescape=True)
    found = db.scalars(select(column).where(begins).limit(2)).all()
    if len(found) == 1 and beginning:
        return found[0]
    count = db.scalar(select(func.count()).where(begins)) if len(found) > 1 else 0
    why = f"{count} {what}s have a digest that" if count else f"no {what}"
    raise NotFoundError(f"{why} begins with {beginning!r}", hint)
