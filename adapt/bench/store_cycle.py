"""A cycle's bookkeeping over many documents: one half of `perennial bench store`.

Each step runs in a process of its own, so that its memory is its own. Rows that are only there to
be many are copied inside the database. Called by adapt.bench.store.
"""

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import DateTime, bindparam, text

from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import CycleStage, CycleState, Document, DocumentState, digest_of

NEW = 10_000
"""Documents that one cycle brings."""
_MANY = 1000
_AT_ONCE = 200
"""As adapt.gather."""
_NOW = datetime(2026, 1, 1, tzinfo=UTC)

Place = tuple[Path, str | None]
"""A home's folder and the URL of its database."""
Step = Callable[[Store, int], int]
"""Works on so many documents, and says how many rows it was about."""


def open_store(place: Place) -> Store:
    """The store of a place; embeds nothing."""
    return Store.open(Home(*place), HashEmbedder())


def document_of(number: int) -> Document:
    """A document of the usual size, about 2 KB."""
    return Document(
        digest=digest_of(["document", number]), source=f"source-{number % 7}",
        address=f"/srv/docs/{number}.md", title=f"Document {number}",
        text=f"{number} " + "words of a document that says something. " * 45, kind="prose",
        fetched_at=_NOW + timedelta(seconds=number), state=DocumentState.ACCEPTED,
    )  # fmt: skip


def cycle_rows(
    place: Place, documents: int, progress: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    steps: dict[str, Step] = {
        "many documents, added by the store": _add_some,
        "the rest, by SQL": _add_rest,
        "snapshot of what is learned": _learn,
        f"{NEW} new documents added": _add_new,
        "documents that are known, offered again": _offer_again,
        "listing what is new": _list_new,
        "snapshot of what is new": _snapshot,
        "documents by source": _count,
        "a cycle's records": _record,
        f"{_MANY} documents taken out": _mark,
        "bare SQL: all accepted digests": _bare,
    }
    for what, step in steps.items():
        progress(what)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            count, seconds, peak = pool.apply(_measured, (step, place, documents))
        yield {
            "what": what, "rows": count, "seconds": seconds, "peak_mb": peak,
            "per_second": count / max(seconds, 1e-9),
        }  # fmt: skip


def _measured(step: Step, place: Place, documents: int) -> tuple[int, float, float]:
    with open_store(place) as store:
        # Opening and imports are no part of the step.
        store.documents.digests(DocumentState.QUARANTINED)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        count = step(store, documents)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return count, seconds, peak / 1024


def _add_some(store: Store, documents: int) -> int:
    some = min(documents, 20 * _MANY)
    for start in range(0, some, _MANY):
        store.documents.add_all(document_of(n) for n in range(start, start + _MANY))
    return some


def _add_rest(store: Store, documents: int) -> int:
    """Copies of the first thousand under other digests, made inside the database."""
    some = min(documents, 20 * _MANY)
    numbers = (
        "WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < :copies) "
        "INSERT INTO documents (digest, source, state, indexed, fetched_at, record) "
    )
    digest = (
        "substr(documents.digest, 1, 54) || substr('0000000000' || CAST(more.n AS TEXT), -10)"
        if store.home.database_url is None
        else "substr(documents.digest, 1, 54) || lpad(CAST(more.n AS TEXT), 10, '0')"
    )
    copies = (documents - some) // _MANY
    last = document_of(_MANY - 1).fetched_at
    with store.database.begin() as db:
        db.execute(text(
            f"{numbers} SELECT {digest}, source, state, indexed, fetched_at, record "
            "FROM documents CROSS JOIN more WHERE fetched_at <= :last"
        ).bindparams(bindparam("last", type_=DateTime(timezone=True))),
        {"copies": copies, "last": last})  # fmt: skip
    return copies * _MANY


def _learn(store: Store, documents: int) -> int:
    snapshot = store.documents.snapshot(store.documents.digests(DocumentState.ACCEPTED))
    return len(snapshot.documents)


def _add_new(store: Store, documents: int) -> int:
    for start in range(documents, documents + NEW, _AT_ONCE):
        store.documents.add_all(document_of(n) for n in range(start, start + _AT_ONCE))
    return NEW


def _offer_again(store: Store, documents: int) -> int:
    for start in range(0, NEW, _AT_ONCE):
        store.documents.add_all(document_of(n) for n in range(start, start + _AT_ONCE))
    return NEW


def _new(store: Store) -> list[str]:
    """As adapt.cycle_learning: what is accepted, less what a corpus holds already."""
    with store.database.read() as db:
        corpus = db.scalar(
            text("SELECT digest FROM snapshots ORDER BY length(record) DESC LIMIT 1")
        )
    seen = set(store.documents.get_snapshot(str(corpus)).documents)
    return sorted(store.documents.digests(DocumentState.ACCEPTED) - seen)


def _list_new(store: Store, documents: int) -> int:
    return len(_new(store)) and documents + NEW


def _snapshot(store: Store, documents: int) -> int:
    newest = [document_of(n).digest for n in range(documents, documents + NEW)]
    return len(store.documents.snapshot(newest).documents)


def _count(store: Store, documents: int) -> int:
    return sum(store.documents.count_by_source().values())


def _record(store: Store, documents: int) -> int:
    """Every stage of 20 cycles begun and done, and all cycles read."""
    for _ in range(20):
        number = store.cycles.start({}).number
        for stage in CycleStage:
            store.cycles.stage_started(number, stage, {})
            store.cycles.stage_done(number, stage, {"new": NEW}, 1.0)
        store.cycles.finish(number, CycleState.PROMOTED)
    return len(store.cycles.list()) * len(CycleStage)


def _mark(store: Store, documents: int) -> int:
    """Withdrawn one by one, as a person or a rule does."""
    for number in range(documents, documents + _MANY):
        store.documents.withdraw(document_of(number).digest)
    return _MANY


def _bare(store: Store, documents: int) -> int:
    query = text("SELECT digest FROM documents WHERE state = 'accepted'")
    with store.database.read() as db:
        return len(db.scalars(query).all())
