"""The two figures that a run is judged by. Needs no torch. Called by adapt.reproduce."""

from statistics import mean

from adapt.reproduce.ledger import Result

ABLE = 0.3
"""An ability that the base has less of cannot be lost measurably: it is shown but not averaged."""


def learned_of(result: Result) -> float:
    """Mean share over what is new."""
    return mean(result["new"].values())


def losses(before: dict[str, float], after: dict[str, float]) -> tuple[float, float]:
    """Mean relative loss over the abilities that the base has: signed, and with gains as zero.

    As LoKI's authors do it (arXiv 2505.22120): (before - after) / before, averaged.
    """
    relative = [(had - after[name]) / had for name, had in before.items() if had >= ABLE]
    return mean(relative), mean(max(0.0, loss) for loss in relative)
