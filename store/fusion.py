"""Several rankings as one: reciprocal rank fusion, and what a passage is known by in all of them.

Ranks only, no scores: those of vectors and of words have nothing in common. Called by
store/search.py and tools/ranking.py.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
_DAMPING = 60
"""The usual one: being first counts little more than being third, being in both counts most."""


class Place(NamedTuple):
    """A passage: which document, and the how manieth of it, from 0."""

    document: str
    position: int


def fused(rankings: Iterable[Sequence[K]]) -> list[K]:
    """All that is in any of the rankings, the best first. What is better in an earlier ranking goes
    first of two that are equal."""
    scores: dict[K, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, 1):
            scores[item] = scores.get(item, 0.0) + 1 / (_DAMPING + rank)
    return sorted(scores, key=lambda item: -scores[item])
