"""Where an update begins: at what is live, or, where its line learned from a document that was
withdrawn since, at the last version before that document came in.

A rebuild is then an update like any other, which learns all else again. It changes nothing. Called
by the stages of a cycle and by adapt.withdraw.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from adapt.rehearsal import corpus_of, documents_of, line_of
from adapt.runtime import Runtime
from store import Store
from store.errors import StageError
from store.records import DocumentState, Version


@dataclass(frozen=True)
class Start:
    """The version that an update begins at, and what must go."""

    version: Version
    withdrawn: frozenset[str] = frozenset()
    """Documents that the live version's line learned from and that were withdrawn since."""

    @property
    def rebuilds(self) -> bool:
        """Whether the line is made anew without them."""
        return bool(self.withdrawn)

    def told(self) -> dict[str, Any]:
        """What a cycle records of it; nothing where it begins at what is live."""
        if not self.rebuilds:
            return {}
        return {"start": self.version.name, "withdrawn": sorted(self.withdrawn)}


def start_of(runtime: Runtime) -> Start:
    """Where the next update begins.

    StageError when a withdrawn document is inside merged weights: those are whole, and cannot be
    made without it while they are live.
    """
    live = runtime.live()
    gone = withdrawn_in(runtime.store, live)
    if not gone:
        return Start(runtime.store.versions.get(live))
    version = last_without(runtime.store, live, gone)
    base = version.digest if version.kind == "merged" else version.base_digest
    if base != runtime.base.digest:
        merged = next(v for v in line_of(runtime.store, live) if v.kind == "merged")
        raise StageError(
            f"{len(gone)} withdrawn documents are inside the whole weights {merged.name}",
            f"make the version before them live, perennial versions promote {merged.parent}, and "
            "run perennial update: it is made anew without the documents",
        )
    return Start(version, frozenset(gone))


def withdrawn_in(store: Store, version: str) -> set[str]:
    """Digests of withdrawn documents that a version, by its name, or a parent learned from."""
    gone = store.documents.digests(DocumentState.WITHDRAWN)
    # Most homes never withdraw: the line need not be read for those.
    return documents_of(store, version) & gone if gone else set()


def last_without(store: Store, version: str, documents: Collection[str]) -> Version:
    """The newest version of the line that learned from none of the documents, and whose rows are
    still there; at worst the base."""
    line = line_of(store, version)
    learned = [not corpus_of(store, at).isdisjoint(documents) for at in line]
    before = line[len(learned) - learned[::-1].index(True) :] if any(learned) else line
    whole = set(store.artifacts.digests())
    for at in before:
        if at.update is None or at.update in whole:
            return at
    return before[-1]
