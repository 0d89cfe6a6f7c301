"""Documents that were taken in are accepted, or kept back for a person. What speaks against one is
found by adapt.gather.screening. Called by adapt.gather.taking and adapt.gather.gathering.
"""

from collections.abc import Sequence

from adapt.gather.screening import screen
from agent.config import Settings
from store import Store
from store.records import Document, DocumentState, utc_now
from store.source_records import Finding, Source


def judge(
    store: Store, source: Source, documents: Sequence[Document], settings: Settings
) -> dict[str, tuple[Finding, ...]]:
    """Decide about documents in state NEW; why those are held that are, by digest."""
    if not documents:
        return {}
    found = screen(store, documents, source, settings.trust)
    held = {
        digest: findings
        for digest, findings in found.items()
        if any(finding.hold for finding in findings)
    }
    store.reviews.hold(held)
    store.documents.accept_all([d.digest for d in documents if d.digest not in held])
    return held


def judge_waiting(store: Store, settings: Settings) -> None:
    """Decide about what was taken in and left unjudged by a process that died."""
    waiting = store.documents.list(DocumentState.NEW)
    sources = {source.name: source for source in store.sources.list()}
    for name in sorted({document.source for document in waiting}):
        own = [document for document in waiting if document.source == name]
        # The source may be gone meanwhile; what it was trusted with stands in its documents.
        lost = Source(name=name, location="", trust=own[0].trust, added_at=utc_now())
        judge(store, sources.get(name, lost), own, settings)
