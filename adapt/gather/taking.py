"""What a visit does with what it is told: documents are stored and judged, places noted.

Works on some hundreds of addresses at a time; each step is a transaction that may follow the last
one at any time, so a visit that was killed between two is simply made again. It fetches nothing.
Called by adapt.gather.visit.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from adapt.gather.forms import document_of
from adapt.gather.judging import judge
from adapt.gather.protocol import Draft, Gone, Seen, Unchanged, Unusable
from agent.config import Settings
from store import Store
from store.errors import DocumentError
from store.records import Document, DocumentState, utc_now
from store.source_records import Finding, Place, PlaceState, Source, Visit

AT_ONCE = 200
"""Addresses whose documents are stored in one transaction."""
_AT_ONCE_BYTES = 32 << 20
"""Of their texts, which are all in memory."""

Change = Literal["added", "changed", "unchanged", "duplicate", "gone", "refused"]


@dataclass(frozen=True)
class Told:
    """What became of one address."""

    address: str
    change: Change
    document: str | None = None
    reason: str = ""
    """Why it was refused."""
    held: tuple[Finding, ...] = ()
    """Why the document waits for a person."""


@dataclass
class Taking:
    """One visit at work: what it knew, what waits to be stored, and what it has counted."""

    store: Store
    source: Source
    settings: Settings
    known: dict[str, Place]
    """The places by address, as they are stored."""
    counts: Counter[str] = field(default_factory=Counter)
    bytes_read: int = 0
    _told: set[str] = field(default_factory=set)
    _drafts: dict[str, Draft] = field(default_factory=dict)
    _others: list[Seen] = field(default_factory=list)
    _waiting_bytes: int = 0

    def was_told(self, one: Seen) -> bool:
        """Whether something was told of its address already: a list may name it twice."""
        return one.address in self._told

    def must_settle_before(self, one: Seen) -> bool:
        """Whether what waits must be stored before it: there is enough of it, or too much may be
        new already."""
        waiting = len(self._drafts) + len(self._others)
        left = self.source.max_documents - self.counts["new"]
        full = isinstance(one, Draft) and bool(self._drafts) and len(self._drafts) >= left
        return waiting >= AT_ONCE or self._waiting_bytes >= _AT_ONCE_BYTES or full

    def bound_before(self, one: Seen) -> str | None:
        """Which bound of the source is reached, in words; None while none is."""
        if not isinstance(one, Draft):
            return None
        if self.counts["new"] >= self.source.max_documents:
            return f"{self.source.max_documents} new documents (max_documents)"
        if self.bytes_read >= self.source.max_bytes:
            return f"{self.source.max_bytes} bytes (max_bytes)"
        return None

    def add(self, one: Seen) -> None:
        """Let something that was seen wait to be stored."""
        self._told.add(one.address)
        if isinstance(one, Draft):
            self._drafts[one.address] = one
            self.bytes_read += one.bytes_read
            self._waiting_bytes += len(one.text)
        else:
            self._others.append(one)

    def untold(self) -> list[str]:
        """Addresses that something lay at, and that nothing was told of."""
        return [
            address
            for address, place in self.known.items()
            if place.state is not PlaceState.GONE and address not in self._told
        ]

    def settle(self) -> list[Told]:
        """Store all that waits; what became of each. Blocks: call it in a thread."""
        now = utc_now()
        told = [self._other(one) for one in self._others]
        documents: dict[str, Document] = {}
        for address, draft in self._drafts.items():
            try:
                most = self.settings.update.max_document_bytes
                documents[address] = document_of(self.source, draft, most)
            except DocumentError as error:
                told.append(Told(address, "refused", reason=error.message))
        told += self._taken(documents)
        self._note(told, now)
        for one in told:
            self.counts[one.change] += 1
            self.counts["held"] += bool(one.held)
        self._drafts, self._others, self._waiting_bytes = {}, [], 0
        return told

    def visit(
        self, started_at: datetime, seconds: float, error: str | None, bound: str | None
    ) -> Visit:
        """The record of it."""
        return Visit(
            source=self.source.name, started_at=started_at, seconds=seconds,
            added=self.counts["added"], changed=self.counts["changed"],
            unchanged=self.counts["unchanged"], duplicates=self.counts["duplicate"],
            gone=self.counts["gone"], refused=self.counts["refused"], held=self.counts["held"],
            bytes_read=self.bytes_read, bound=bound, error=error,
        )  # fmt: skip

    def _other(self, one: Seen) -> Told:
        """What became of an address that gave no text."""
        place = self.known.get(one.address)
        if isinstance(one, Unusable):
            return Told(one.address, "refused", place and place.document, one.reason)
        if isinstance(one, Gone):
            was = place is not None and place.state is not PlaceState.GONE
            return Told(one.address, "gone" if was else "unchanged", place and place.document)
        if place is not None and place.state is PlaceState.REFUSED:
            # As unusable as it was: told each time, or it would be forgotten.
            return Told(one.address, "refused", place.document, place.reason or "")
        return Told(one.address, "unchanged", place and place.document)

    def _taken(self, documents: Mapping[str, Document]) -> list[Told]:
        """Take documents in, by address, and judge what is new, or was left unjudged."""
        if not documents:
            return []
        store, near = self.store, self.settings.gather.near_duplicate
        taken = store.documents.take(list(documents.values()), near)
        unjudged = set(taken.new) | (store.documents.digests(DocumentState.NEW) & set(taken.known))
        unique = {document.digest: document for document in documents.values()}
        waiting = [unique[digest] for digest in unique if digest in unjudged]
        held = judge(store, self.source, waiting, self.settings)
        self.counts["new"] += len(taken.new)
        told, new = [], set(unjudged)
        for address, document in documents.items():
            change = self._change(address, document.digest, document.digest in new)
            told.append(Told(address, change, document.digest, held=held.get(document.digest, ())))
            new.discard(document.digest)
        return told

    def _change(self, address: str, digest: str, new: bool) -> Change:
        place = self.known.get(address)
        before = place.document if place is not None else None
        if before == digest:
            return "unchanged"
        if not new:
            return "duplicate" if before is None else "changed"
        return "added" if before is None else "changed"

    def _note(self, told: list[Told], now: datetime) -> None:
        """Write what lies where."""
        stamps = {one.address: one.stamp for one in self._others if isinstance(one, Unusable)}
        stamps |= {address: draft.stamp for address, draft in self._drafts.items()}
        restamped = {
            one.address: one.stamp
            for one in self._others
            if isinstance(one, Unchanged) and one.stamp is not None
        }
        places: list[Place] = []
        untouched: list[str] = []
        for one in told:
            place = self.known.get(one.address)
            if one.address in stamps or one.change == "gone":
                places.append(self._place(one, stamps.get(one.address, ""), now))
            elif place is not None and one.address in restamped:
                stamp = restamped[one.address]
                places.append(place.model_copy(update={"stamp": stamp, "seen_at": now}))
            elif place is not None:
                untouched.append(one.address)
        self.store.places.put(self.source.name, places)
        self.store.places.touch(self.source.name, untouched, now)
        self.known.update({place.address: place for place in places})

    def _place(self, told: Told, stamp: str, now: datetime) -> Place:
        before = self.known.get(told.address)
        states = {"gone": PlaceState.GONE, "refused": PlaceState.REFUSED}
        return Place(
            source=self.source.name,
            address=told.address,
            state=states.get(told.change, PlaceState.PRESENT),
            document=told.document,
            stamp=stamp,
            reason=told.reason or None,
            first_seen_at=before.first_seen_at if before else now,
            seen_at=now,
        )
