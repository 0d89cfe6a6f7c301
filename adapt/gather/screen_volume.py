"""Sudden volume: a source that brings much more at once than it ever did.

Called by adapt.gather.screening.
"""

from collections.abc import Sequence
from datetime import timedelta

from agent.config_sections import TrustSettings
from store import Store
from store.records import Document
from store.source_records import Finding, Source

_VISITS, _LEAST = 30, 4
"""Visits that are looked at, and how many it takes to know what is usual."""
_FLOOR = 20
"""So many new documents are nothing unusual for any source."""


def sudden(
    store: Store, documents: Sequence[Document], source: Source, settings: TrustSettings
) -> dict[str, Finding]:
    """All that this visit brought, when it is out of proportion to the visits before it.

    What an earlier part of the same visit brought is among them, although it was accepted.
    """
    visits = [visit for visit in store.visits.of(source.name, _VISITS) if visit.error is None]
    if len(visits) < _LEAST:
        return {}
    # Less the largest: the first visit brings all that a source ever had.
    usual = sorted(visit.added + visit.changed for visit in visits)[-2]
    last = max(visit.started_at + timedelta(seconds=visit.seconds) for visit in visits)
    now = {*store.documents.since(source.name, last), *(d.digest for d in documents)}
    if len(now) <= max(_FLOOR, settings.volume * usual):
        return {}
    finding = Finding(
        kind="volume",
        words=f"came with {len(now)} new documents at once, where {source.name} usually brings "
        f"at most {usual}; a source that was taken over floods",
    )
    return dict.fromkeys(now, finding)
