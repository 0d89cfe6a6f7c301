"""What a visit to a source would bring, told without storing anything.

Whether a text says nearly what another says, or contradicts it, is only found when it is taken in.
Called by `perennial source test` and the sources page.
"""

from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from adapt.gather.forms import document_of
from adapt.gather.protocol import Draft, Gone, SourceKind, Unusable
from adapt.gather.screening import by_text
from adapt.gather.taking import Told
from adapt.gather.visit import told_by
from agent.config import Settings
from store import Store
from store.errors import DocumentError
from store.source_records import Place, Source


@dataclass(frozen=True)
class Looked:
    """What was seen: each address with what would become of it, and its title."""

    told: tuple[tuple[Told, str], ...]
    error: str | None = None
    """Why the source could not be read to its end."""
    bound: bool = False
    """Whether it holds more than one visit takes."""


def report(name: str, looked: Looked) -> dict[str, Any]:
    """What was seen of a source, by its name, as JSON."""
    return {
        "source": name, "counts": dict(Counter(one.change for one, _ in looked.told)),
        "bound": looked.bound, "error": looked.error,
        "addresses": [
            {
                "address": one.address, "change": one.change, "title": title,
                "document": one.document, "reason": one.reason,
                "held": [finding.model_dump(mode="json") for finding in one.held],
            }
            for one, title in looked.told
        ],
    }  # fmt: skip


async def look(store: Store, source: Source, kind: SourceKind, settings: Settings) -> Looked:
    """Look at a source as a visit would, within its bounds."""
    known = store.places.of(source.name)
    stored = store.documents.digests()
    told: dict[str, tuple[Told, str]] = {}
    new = read = 0
    error, bound = None, False
    try:
        async with aclosing(told_by(kind, source, known)) as seen:
            async for one in seen:
                if new >= source.max_documents or read >= source.max_bytes:
                    bound = True
                    break
                if one.address in told:
                    continue
                read += one.bytes_read if isinstance(one, Draft) else 0
                if isinstance(one, Draft):
                    place = known.get(one.address)
                    told[one.address] = _told(source, one, place, stored, settings)
                    new += told[one.address][0].change in ("added", "changed")
                elif isinstance(one, Unusable):
                    told[one.address] = Told(one.address, "refused", reason=one.reason), ""
                else:
                    change = "gone" if isinstance(one, Gone) else "unchanged"
                    told[one.address] = Told(one.address, change), ""
    except DocumentError as failure:
        error = str(failure)
    return Looked(tuple(told.values()), error, bound)


def _told(
    source: Source, draft: Draft, place: Place | None, stored: set[str], settings: Settings
) -> tuple[Told, str]:
    """What would become of a draft; its text is then known to whatever comes after it."""
    try:
        document = document_of(source, draft, settings.update.max_document_bytes)
    except DocumentError as error:
        return Told(draft.address, "refused", reason=error.message), draft.title
    before = place.document if place else None
    if document.digest == before:
        return Told(draft.address, "unchanged", document.digest), document.title
    if document.digest in stored:
        change = "changed" if before else "duplicate"
        return Told(draft.address, change, document.digest), document.title
    stored.add(document.digest)
    held = tuple(finding for finding in by_text(document) if finding.hold)
    change = "changed" if before else "added"
    return Told(draft.address, change, document.digest, held=held), document.title
