"""The three published meanings of a row's score, as data: which path, which target, which factor.

A score is a weighted sum, over points of a path, of the gradient of a target with respect to the
output of a `down_proj` at the last token. The paper (arXiv 2505.22120) and the two states of its
code (github.com/Nexround/LoKI) disagree on all of it. It computes no score and needs no torch.
Called by adapt.loki.attribution, adapt.loki.last_token and adapt.loki.all_positions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from store.errors import ConfigError


@dataclass(frozen=True)
class Definition:
    """One meaning. The target is always that of the model's own likeliest next token."""

    name: str
    source: str
    """Where it is published, in words."""
    positions: Literal["last", "all"]
    """Whose outputs move along the path: the last token's, from zero; or all tokens' of the layer,
    from those of a prompt that repeats token 0. The gradient is the last token's either way."""
    target: Literal["probability", "logit"]
    times_activation: bool
    """Whether the sum of gradients is multiplied by output - start."""
    points: Callable[[int], tuple[float, ...]]
    """m -> the m places of the path; 0 is its start and 1 the model's own output."""
    weights: Callable[[int], tuple[float, ...]]
    """m -> what each place counts."""
    least_steps: int = 1


def _equal(steps: int) -> tuple[float, ...]:
    return (1 / steps,) * steps


def _trapezoid(steps: int) -> tuple[float, ...]:
    """Captum's: the ends count half, and all divide by m, so that the sum is (m - 1) / m."""
    return (0.5 / steps, *(1 / steps,) * (steps - 2), 0.5 / steps)


DEFINITIONS = {
    made.name: made
    for made in (
        Definition(
            "release",
            "the first published code, 44f67d9",
            positions="last",
            target="probability",
            times_activation=True,
            points=lambda steps: tuple(i / steps for i in range(steps)),
            weights=_equal,
        ),
        Definition(
            "paper",
            "equations 4 and 5 of the paper",
            positions="last",
            target="logit",
            times_activation=False,
            points=lambda steps: tuple((i + 1) / steps for i in range(steps)),
            weights=_equal,
        ),
        Definition(
            "captum",
            "the published code at a63aec3, Captum's LayerIntegratedGradients",
            positions="all",
            target="probability",
            times_activation=True,
            points=lambda steps: tuple(i / (steps - 1) for i in range(steps)),
            weights=_trapezoid,
            least_steps=2,
        ),
    )
}


def find_definition(name: str, steps: int) -> Definition:
    """The definition of a name, for m steps. ConfigError for a name or m that cannot be used."""
    if name not in DEFINITIONS:
        raise ConfigError(f"unknown definition {name!r}", f"use {', '.join(DEFINITIONS)}")
    found = DEFINITIONS[name]
    if steps < found.least_steps:
        raise ConfigError(
            f"{steps} steps of the path of {name}", f"use {found.least_steps} or more; 7 is usual"
        )
    return found
