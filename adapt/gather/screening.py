"""Screening: what speaks against learning a document, before it reaches search or training.

It puts the rules together, one file each beside this one. It decides nothing: adapt.gather.judging
keeps back what has a finding that holds, and a person decides (store/reviews.py). No rule sees
everything; what they miss is what the gate, withdrawal and a source's trust are for.
"""

from collections.abc import Sequence

from adapt.gather import (
    screen_contradiction,
    screen_encoded,
    screen_hidden,
    screen_instructions,
    screen_language,
    screen_meaning,
    screen_personal,
    screen_roles,
)
from adapt.gather.screen_claims import claims_of
from adapt.gather.screen_repetition import repeated, sayings
from adapt.gather.screen_text import parts_of
from adapt.gather.screen_volume import sudden
from agent.config_sections import TrustSettings
from store import Store
from store.records import Document
from store.source_records import Finding, Source


def screen(
    store: Store,
    documents: Sequence[Document],
    source: Source,
    settings: TrustSettings,
) -> dict[str, tuple[Finding, ...]]:
    """What speaks against documents that were taken in from a source, by digest.

    Also against accepted ones that the new ones throw a light on: what a more trusted document
    contradicts, the beginning of a flood or of a series. Documents without findings are left out.
    """
    found: dict[str, list[Finding]] = {}
    for document in documents:
        said = [*_untrusted(document, source, settings), *by_text(document)]
        if document.trust < settings.believed and not any(finding.hold for finding in said):
            said += screen_language.find(document)
            said += screen_meaning.find(document, store.embedder)
        found[document.digest] = said
    store.claims.add({d.digest: (d.trust, _keys(d)) for d in documents})
    for less, _, finding in screen_contradiction.find(store, documents):
        found.setdefault(less.digest, []).append(finding)
    for rule in (sudden, repeated):
        for digest, finding in rule(store, documents, source, settings).items():
            found.setdefault(digest, []).append(finding)
    return {digest: tuple(findings) for digest, findings in found.items() if findings}


def _keys(document: Document) -> set[int]:
    """All that is looked up of a document later."""
    return {claim.key for claim in claims_of(document)} | set(sayings(document))


def by_text(document: Document) -> list[Finding]:
    """What the text alone tells."""
    parts = parts_of(document)
    return [
        *screen_instructions.find(parts, api=document.kind == "api", trust=document.trust),
        *screen_roles.find(parts),
        *screen_hidden.find(parts),
        *screen_encoded.find(parts),
        *screen_personal.find(parts),
    ]


def _untrusted(document: Document, source: Source, settings: TrustSettings) -> list[Finding]:
    trust = min(document.trust, source.trust)
    if trust >= settings.least:
        return []
    words = f"is trusted {trust:g}, and what is trusted less than {settings.least:g} is always held"
    return [Finding(kind="trust", words=words)]
