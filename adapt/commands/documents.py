"""`perennial documents`: listing what was gathered, and checking the search index against it.

The embedded search index is for one process: what opens it refuses while the home is served.
Parsed by adapt/commands/documents_group.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Group
from rich.markup import escape

from adapt.commands import Options
from adapt.show import CycleView, table
from store import Store
from store.editions import difference
from store.errors import UserError
from store.records import Document, DocumentState
from store.source_records import Edition

_SHOWN_CHARS = 2000


def show_all(options: Options, state: str | None, source: str | None) -> int:
    """List documents. UserError for a state that there is not."""
    if state is not None and state not in set(DocumentState):
        raise UserError(f"there is no state {state!r}", f"there are: {', '.join(DocumentState)}")
    with options.read_store() as store:
        found = store.documents.list(DocumentState(state) if state else None)
    rows = [_row(d) for d in found if source is None or d.source == source]
    shown = [
        {**row, "digest": row["digest"][:12], "fetched": row["fetched_at"][:16]} for row in rows
    ]
    columns = ("digest", "state", "source", "language", "fetched", "title", "address")
    options.put(rows, table(shown, *columns) if rows else "no documents")
    return 0


def show(options: Options, digest: str, only_difference: bool) -> int:
    """One document whole. NotFoundError for a digest that is not stored, or means several."""
    with options.read_store() as store:
        document = store.documents.get(store.documents.find(digest))
        editions = store.editions.of_document(document.digest)
        changed = _changed(store, document, editions)
        duplicate = store.documents.duplicate_of(document.digest)
        duplicates = [d.document for d in store.documents.duplicates_of(document.digest)]
    value = document.model_dump(mode="json") | {
        "duplicate_of": duplicate.of if duplicate else None,
        "similarity": duplicate.similarity if duplicate else None,
        "duplicates": duplicates,
        "editions": [edition.model_dump(mode="json") for edition in editions],
        "difference": changed,
    }
    if only_difference:
        said = changed or "no edition before this one, or the same text"
        options.put({"digest": document.digest, "difference": changed}, escape(said))
        return 0
    facts = [
        f"{name}: {escape(str(value[name]))}"
        for name in (
            "digest", "state", "title", "source", "address", "kind", "language", "licence",
            "trust", "fetched_at", "published_at", "duplicate_of", "duplicates",
        )
        if value[name] not in (None, [])
    ]  # fmt: skip
    where = [
        {"edition": e.number, "source": e.source, "address": e.address, "seen": str(e.seen_at)[:16]}
        for e in editions
    ]
    parts: list[Any] = list(facts)
    if where:
        parts.append(table(where, "edition", "source", "address", "seen"))
    text = document.text[:_SHOWN_CHARS]
    parts.append("\n" + escape(text) + (" ..." if len(text) < len(document.text) else ""))
    options.put(value, Group(*parts))
    return 0


def check(options: Options) -> int:
    """Compare both indices with the documents; 1 when they differ."""
    with _searched(options) as store:
        found = store.documents.differences()
    value = {
        "same": found.same, "documents": found.documents, "passages": found.passages,
        "missing": found.missing, "extra": found.extra,
    }  # fmt: skip
    lines = [f"{found.documents} accepted documents, {found.passages} passages"]
    for what, by_index in (("missing in", found.missing), ("too much in", found.extra)):
        for index, digests in by_index.items():
            if digests:
                some = ", ".join(digest[:12] for digest in digests[:8])
                more = f" and {len(digests) - 8} more" if len(digests) > 8 else ""
                lines.append(f"[red]{what}[/] {index}: {some}{more}")
    lines.append(
        "the search index is as the documents say"
        if found.same
        else "the next search mends what is new or gone; all else: perennial documents reindex"
    )
    options.put(value, "\n".join(lines))
    return 0 if found.same else 1


def reindex(options: Options) -> int:
    """Make the search index anew."""
    with _searched(options) as store, CycleView() as view:
        count = store.documents.reindex(lambda done: view.moving(f"{done} documents embedded"))
    options.put({"indexed": count}, f"{count} documents are in the search index")
    return 0


@contextmanager
def _searched(options: Options) -> Iterator[Store]:
    """The store, with the home held where its index is for one process. Raises BusyError."""
    with options.read_store() as store:
        if store.home.chroma_url is None:
            with store.home.lock():
                yield store
        else:
            yield store


def _changed(store: Store, document: Document, editions: list[Edition]) -> str:
    """What it changed at the address where it was seen last; empty where it came first."""
    if not editions or editions[-1].number == 1:
        return ""
    last = editions[-1]
    history = store.editions.of(last.source, last.address)
    before = next(e for e in history if e.number == last.number - 1)
    names = (f"{last.address} (edition {n})" for n in (before.number, last.number))
    return difference(store.documents.get(before.document), document, *names)


def _row(document: Document) -> dict[str, Any]:
    return document.model_dump(mode="json", exclude={"text"})
