"""`perennial documents review`: what was kept back, why, and a person's decision about it.

What holds a document is adapt.gather.screening's business, what a decision does store/reviews.py's.
Parsed by adapt/commands/documents_group.py.
"""

import getpass

from rich.console import Group
from rich.markup import escape

from adapt.commands import Options
from adapt.show import table
from store import Store
from store.errors import UserError
from store.reviews import told

_SHOWN_CHARS = 2000


def review(
    options: Options,
    digest: str | None,
    accept: str | None,
    withdraw: str | None,
    why: str,
    decided: bool,
) -> int:
    """List what waits, show one, or decide about one. UserError for more than one of these."""
    if sum(each is not None for each in (digest, accept, withdraw)) > 1:
        raise UserError("one document at a time", "give DIGEST, --accept or --withdraw")
    with options.read_store() as store:
        if accept is not None:
            return _decide(options, store, accept, why, accepted=True)
        if withdraw is not None:
            return _decide(options, store, withdraw, why, accepted=False)
        if digest is not None:
            return _show(options, store, digest)
        return _list(options, store, waiting=not decided)


def _list(options: Options, store: Store, *, waiting: bool) -> int:
    found = store.reviews.list(waiting=waiting)
    documents = {d.digest: d for d in store.documents.get_all(r.document for r in found)}
    rows = [told(each, documents[each.document]) for each in found]
    shown = [
        {
            "digest": row["document"][:12], "source": row["source"], "title": escape(row["title"]),
            "decision": row["decision"] or "waits",
            "why": escape("; ".join(f["words"] for f in row["findings"] if f["hold"])),
        }
        for row in rows
    ]  # fmt: skip
    nothing = "nothing waits" if waiting else "nothing was ever held"
    columns = ("digest", "source", "title", "decision", "why")
    options.put(rows, table(shown, *columns) if rows else nothing)
    return 0


def _show(options: Options, store: Store, start: str) -> int:
    found = store.reviews.get(store.reviews.find(start))
    document = store.documents.get(found.document)
    lines = [
        f"{finding.kind}: {finding.words}" + (f"\n    {finding.excerpt}" if finding.excerpt else "")
        for finding in sorted(found.findings, key=lambda f: not f.hold)
    ]
    head = f"{document.title}\n{document.address} ({document.source}, trusted {document.trust:g})"
    if found.decision:
        lines.append(f"{found.decision} by {found.decided_by}: {found.reason}")
    text = document.text[:_SHOWN_CHARS]
    # Escaped for terminals too: a hostile text may hold their control sequences.
    shown = Group(*(escape(_plain(part)) for part in (head, "", *lines, "", text)))
    options.put(told(found, document) | {"text": document.text}, shown)
    return 0


def _decide(options: Options, store: Store, start: str, why: str, *, accepted: bool) -> int:
    digest = store.reviews.find(start)
    done = store.reviews.decide(
        digest, "accepted" if accepted else "withdrawn", why=why, by=getpass.getuser()
    )
    said = "is accepted and joins the next update" if accepted else "stays out for ever"
    options.put(told(done, store.documents.get(digest)), f"{digest[:12]} {said}")
    return 0


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else f"\\u{{{ord(c):x}}}" for c in text)
