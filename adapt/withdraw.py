"""Withdrawing documents: what learned from them is shown, they are marked, and the line is made
anew without them.

Marking alone takes a document out of the search and out of all later training. The rebuild is an
update: a cycle finds by itself that the live line learned from a withdrawn document (adapt.line).
Called by adapt.commands.withdraw and adapt.up.
"""

from collections.abc import Sequence
from typing import Any

from adapt.line import withdrawn_in
from adapt.lineage import examples_from, learned_from
from store import Store
from store.errors import UserError
from store.records import Cycle, CycleStage, DocumentState

Json = dict[str, Any]


def affected(store: Store, digests: Sequence[str]) -> Json:
    """What learned from these documents: `documents`, `examples` by cycle, `updates`, `versions`,
    `rebuild`: whether the live version is among them. NotFoundError for an unknown document."""
    if not digests:
        raise UserError("no document is named", "give the digest of one: perennial documents list")
    documents = [store.documents.get(digest) for digest in dict.fromkeys(digests)]
    gone = {document.digest for document in documents}
    counts: dict[int, int] = {}
    for cycle, _ in examples_from(store, gone):
        counts[cycle] = counts.get(cycle, 0) + 1
    versions = learned_from(store, gone)
    live = store.versions.live()
    fields = {"digest", "title", "address", "source", "state"}
    return {
        "documents": [d.model_dump(mode="json", include=fields) for d in documents],
        "examples": sum(counts.values()),
        "examples_by_cycle": counts,
        "updates": list(dict.fromkeys(v.update for v in versions if v.update)),
        "versions": [{"name": v.name, "state": v.state.value} for v in versions],
        "rebuild": live is not None and live.name in {v.name for v in versions},
    }


def mark(store: Store, digests: Sequence[str]) -> list[str]:
    """Withdraw the documents; those that were not withdrawn before. NotFoundError before any is."""
    documents = [store.documents.get(digest) for digest in dict.fromkeys(digests)]
    new = [d.digest for d in documents if d.state is not DocumentState.WITHDRAWN]
    for digest in new:
        store.documents.withdraw(digest)
    return new


def rebuild_due(store: Store) -> bool:
    """Whether the live version's line learned from a document that is withdrawn."""
    live = store.versions.live()
    return live is not None and bool(withdrawn_in(store, live.name))


def proof_of(cycle: Cycle) -> Json | None:
    """What a rebuild found of the withdrawn documents' questions; None where it asked none."""
    return (cycle.gave(CycleStage.EVALUATE) or {}).get("withdrawn")
