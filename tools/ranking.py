"""Which of many tools fit a question: by vectors and by words, fused as passages are.

Holds nothing beyond what can be made again: a matrix of vectors and an index of words in memory,
once for a set of descriptions. Showing and calling tools is tools/registry.py's business, which is
the caller.
"""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Protocol
from weakref import WeakKeyDictionary

from store.fusion import fused
from store.keywords import KeywordIndex
from store.vectors import KeptVectors

WAYS = ("vectors", "words")
"""What is ranked by; a benchmark takes one of them."""
_SETS = 4
"""Sets of descriptions that are remembered: registries come and go, their tools are few sets."""


class Embedder(Protocol):
    """Turns texts into unit vectors of one length (store.embeddings has two; store.vectors keeps
    those of descriptions across starts)."""

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector per text, in order."""
        ...


class _Ranking:
    """The descriptions of one set of tools."""

    def __init__(self, texts: Sequence[str], embedder: Embedder) -> None:
        import numpy as np

        keep = embedder.kept if isinstance(embedder, KeptVectors) else embedder.embed
        self._vectors = np.asarray(keep(texts), dtype=np.float32)
        self._words = KeywordIndex()
        for place, text in enumerate(texts):
            self._words.put(str(place), "", [text])

    def nearest(self, query: str, vector: Sequence[float], k: int, by: Sequence[str]) -> list[int]:
        import numpy as np

        asked = max(20, 4 * k)
        score = self._vectors @ np.asarray(vector, dtype=np.float32)
        near = np.argsort(-score, kind="stable")[:asked].tolist()
        worded = self._words.search(query, asked) if "words" in by else []
        rankings = [near if "vectors" in by else [], [int(place.document) for place in worded]]
        return fused(rankings)[:k]


_made: WeakKeyDictionary[Embedder, OrderedDict[tuple[str, ...], _Ranking]] = WeakKeyDictionary()
_making = Lock()
"""Held while texts are embedded: else each of the first requests would embed the whole catalogue,
and all of them would be late."""


def nearest(
    texts: Sequence[str], query: str, k: int, embedder: Embedder, by: Sequence[str] = WAYS
) -> list[int]:
    """Places of the `k` texts that fit the query best, best first. Blocks while it embeds, each
    text once for an embedder."""
    with _making:
        sets = _made.setdefault(embedder, OrderedDict())
        key = tuple(texts)
        if key not in sets:
            sets[key] = _Ranking(texts, embedder)
        sets.move_to_end(key)
        while len(sets) > _SETS:
            sets.popitem(last=False)
        ranking = sets[key]
    (vector,) = embedder.embed([query])
    return ranking.nearest(query, vector, k, by)
