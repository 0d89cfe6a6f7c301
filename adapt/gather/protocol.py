"""What every kind of source is: something that is visited, and tells what is where.

A kind only reads. What is new, what is the same and what may be learned is decided by
adapt.gather.visit, which alone writes into the store.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from store.source_records import Place, Source


@dataclass(frozen=True)
class Draft:
    """A text at an address, not yet a document: it is neither normalised nor judged."""

    address: str
    text: str
    title: str = ""
    kind: Literal["prose", "api"] = "prose"
    """`api` is one ToolBench-shaped tool in JSON."""
    stamp: str = ""
    """What tells at the next visit, without reading, that nothing changed."""
    licence: str | None = None
    published_at: datetime | None = None
    bytes_read: int = 0


@dataclass(frozen=True)
class Unchanged:
    """An address that is as it was at the last visit."""

    address: str
    stamp: str | None = None
    """What is written in the place's stamp from now on; None leaves it as it is."""


@dataclass(frozen=True)
class Unusable:
    """Something at an address that cannot be taken, and why."""

    address: str
    reason: str
    stamp: str = ""


@dataclass(frozen=True)
class Gone:
    """An address at which the source says that nothing is any more."""

    address: str


Seen = Draft | Unchanged | Unusable | Gone


class SourceKind(Protocol):
    """How one kind of source is read."""

    lists_all: bool
    """Whether a visit that ends without an error has told of every address there is, so that
    those it did not tell of are gone. False for a feed, which forgets its old entries."""

    def visit(self, source: Source, known: Mapping[str, Place]) -> AsyncIterator[Seen]:
        """What is there now, in a fixed order. `known` are the places of the last visit, by
        address. Raises DocumentError when the source as a whole cannot be read; the places that
        it told of until then count."""
        ...

    def check(self, source: Source) -> None:
        """Raises UserError for a location or options that can never work, before it is added."""
        ...
