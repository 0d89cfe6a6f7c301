"""The state of a GRPO run, in one file that is either whole or absent.

A checkpoint belongs to one run, told by its identity; that of another run is ignored. It decides
nothing about when to save. Called by adapt.skill.train.
"""

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from store.files import write_atomic

_NAME = "grpo.pt"


@dataclass
class GrpoState:
    """What the next step depends on, beside weights, optimiser and settings."""

    curve: list[dict[str, float]] = field(default_factory=list)
    """One point per step done."""
    seconds: float = 0.0


def save_state(
    folder: Path,
    identity: str,
    state: GrpoState,
    weights: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write the state, the weights and the optimiser's moments."""
    buffer = io.BytesIO()
    torch.save(
        {
            "identity": identity,
            "curve": state.curve,
            "seconds": state.seconds,
            "weights": [weight.detach() for weight in weights],
            "optimizer": optimizer.state_dict(),
        },
        buffer,
    )
    write_atomic(folder / _NAME, buffer.getvalue())


def load_state(
    folder: Path, identity: str, weights: Sequence[Tensor], optimizer: torch.optim.Optimizer
) -> GrpoState | None:
    """Put a checkpoint back into weights and optimiser; None when this run has none."""
    try:
        saved = torch.load(folder / _NAME, weights_only=True, map_location=weights[0].device)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
        # Missing, or written by another program: the run starts over, nothing is lost.
        return None
    if not isinstance(saved, dict) or saved.get("identity") != identity:
        return None
    with torch.no_grad():
        for weight, tensor in zip(weights, saved["weights"], strict=True):
            weight.copy_(tensor)
    optimizer.load_state_dict(saved["optimizer"])
    return GrpoState(saved["curve"], saved["seconds"])
