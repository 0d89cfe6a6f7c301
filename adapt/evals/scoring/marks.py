"""What one scored reply is: a score, why, and whether it was well formed at all."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Mark:
    """One score in [0, 1]. `valid` is False for malformed calls and empty answers: score 0."""

    score: float
    detail: str
    valid: bool = True
    measures: Mapping[str, float] = field(default_factory=dict)
    """Further figures by name, such as `f1`: shown, never gated on."""


RIGHT = Mark(1.0, "right")


def wrong(detail: str, **measures: float) -> Mark:
    """A well-formed reply that is not right."""
    return Mark(0.0, detail, measures=measures)


def invalid(detail: str, **measures: float) -> Mark:
    """Nothing that could be right: a malformed call or an empty answer."""
    return Mark(0.0, detail, valid=False, measures=measures)
