"""Records of where documents come from, and of what was decided about them.

As store.records, which they build on. Called by the store modules and adapt.gather.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from store.records import Record

SourceKind = Literal[
    "folder", "feed", "pages", "openapi", "mcp", "toolbench", "git", "posted", "episodes"
]


class Source(Record):
    """A place that documents come from."""

    name: str
    kind: SourceKind = "folder"
    location: str
    """A path, a URL, or a command line, by its kind."""
    trust: float = Field(default=1.0, ge=0.0, le=1.0)
    added_at: datetime
    schedule: str | None = None
    """When it is visited, as a cron line; None: at every update."""
    paused: bool = False
    max_documents: int = Field(default=10_000, ge=1)
    """Most new documents of one visit; what is over waits for the next."""
    max_bytes: int = Field(default=1 << 30, ge=1)
    """Most that one visit reads."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What its kind alone knows: depth, patterns, ..."""


class PlaceState(StrEnum):
    """What the last visit saw at an address."""

    PRESENT = "present"
    REFUSED = "refused"
    GONE = "gone"


class Place(Record):
    """One address of a source: what was there when it was last visited."""

    source: str
    address: str
    state: PlaceState
    document: str | None = None
    """Digest of the present edition, or of the last one."""
    stamp: str = ""
    """What tells without reading the body that nothing changed: ETag, Last-Modified, size and
    time of a file. As the source's kind writes it."""
    reason: str | None = None
    """Why it was refused."""
    first_seen_at: datetime
    seen_at: datetime


class Edition(Record):
    """A text that an address had at some time. Numbered from 1 for each address."""

    source: str
    address: str
    number: int = Field(ge=1)
    document: str
    seen_at: datetime


class Visit(Record):
    """One look at a source, and what it brought."""

    source: str
    started_at: datetime
    seconds: float
    added: int = 0
    """Addresses with a text that is new."""
    changed: int = 0
    """Addresses with another text than before."""
    unchanged: int = 0
    duplicates: int = 0
    """Addresses whose text, or one nearly like it, was known from elsewhere."""
    gone: int = 0
    refused: int = 0
    held: int = 0
    """Documents kept back for a person."""
    bytes_read: int = 0
    bound: str | None = None
    """The bound that ended it before all was seen: what is over waits for the next visit."""
    error: str | None = None
    """Why it could not be read to its end."""


class Finding(Record):
    """Something in a document that speaks against learning it."""

    kind: str
    """instruction, hidden-text, encoded, volume, repetition, contradiction, personal, ..."""
    words: str
    """For a person: what, where, and why it matters."""
    excerpt: str = ""
    hold: bool = True
    """Whether it alone keeps the document back."""


class Review(Record):
    """A document that was kept back, why, and what a person decided."""

    document: str
    findings: tuple[Finding, ...]
    held_at: datetime
    decision: Literal["accepted", "withdrawn"] | None = None
    decided_by: str | None = None
    reason: str | None = None
    decided_at: datetime | None = None
