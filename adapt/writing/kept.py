"""What models wrote, kept in the home by the digest of document, writer and recipe.

A file per document, whole or absent: a stage that was killed asks again only for the document that
was at work. What a cycle has spent so far is read from these files too. Called by
adapt.writing.writer.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from adapt.writing.recipe import RECIPE, Written
from store import Home
from store.files import write_atomic
from store.records import digest_of


@dataclass(frozen=True)
class Spent:
    """What asking took: calls, tokens of questions and answers, seconds of waiting."""

    calls: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.calls + other.calls, self.tokens + other.tokens, self.seconds + other.seconds
        )


@dataclass(frozen=True)
class Entry:
    """What was written of one document. A place is its passage or function, from 0."""

    cycle: int
    written: tuple[tuple[int, Written], ...]
    unread: int
    """Lines that were no JSON of the recipe."""
    spent: Spent


class Kept:
    """The folder of one writer's entries."""

    def __init__(self, home: Home, writer: Sequence[str]) -> None:
        self._folder = home.path / "written"
        self._writer = list(writer)

    def get(self, document: str) -> Entry | None:
        """What was written of a document; None where nothing was, or its file is damaged."""
        try:
            said = json.loads(self._file(document).read_text())
            written = tuple(
                (place, Written(**{**one, "again": tuple(one["again"])}))
                for place, one in said["written"]
            )
            return Entry(said["cycle"], written, said["unread"], Spent(**said["spent"]))
        except (OSError, ValueError, KeyError, TypeError):
            # Asked again: it is a cache.
            return None

    def put(self, document: str, entry: Entry) -> None:
        """Keep what was written of a document."""
        value = asdict(entry) | {"document": document, "writer": self._writer, "recipe": RECIPE}
        write_atomic(self._file(document), json.dumps(value, ensure_ascii=True))

    def _file(self, document: str) -> Path:
        key = digest_of([document, self._writer, RECIPE])
        return self._folder / key[:2] / f"{key}.json"
