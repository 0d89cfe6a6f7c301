"""What is there to learn that no cycle has tried yet: the question the schedule asks.

A document that was rejected or rolled back does not come back by itself: the same cycle would end
the same way. It reads the store alone. Called by adapt.schedule and the learning page.
"""

from store import Store
from store.records import CycleStage, CycleState, DocumentState

_TRIED = {CycleState.PROMOTED, CycleState.REJECTED, CycleState.ABSTAINED}


def waiting(store: Store) -> int:
    """How many documents may be learned that no ended cycle has tried. Blocks: call it in a
    thread."""
    return len(waiting_documents(store))


def waiting_documents(store: Store) -> list[str]:
    """Their digests, in order. Blocks too."""
    there = store.documents.digests(DocumentState.ACCEPTED)
    for cycle in store.cycles.list() if there else ():
        if cycle.state not in _TRIED:
            continue
        if gathered := cycle.gave(CycleStage.GATHER):
            there -= set(store.documents.get_snapshot(gathered["corpus"]).documents)
    return sorted(there)
