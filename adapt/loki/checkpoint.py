"""The state of a training run, in one file that is either whole or absent.

A checkpoint belongs to one run, told by its identity; that of another run is ignored, and so is one
that differs from its digest. It decides nothing about when to save. Called by adapt.loki.learning
and adapt.loki.training.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from store.files import write_atomic

log = logging.getLogger(__name__)

_NAME = "checkpoint.safetensors"


@dataclass
class TrainState:
    """Everything that the next step depends on, beside the settings and the data."""

    step: int = 0
    """Steps done."""
    tokens: int = 0
    losses: list[float] = field(default_factory=list)
    """Training loss of every step done."""
    held_out: list[float] = field(default_factory=list)
    """Held-out loss after every epoch done, when it is measured."""
    best: list[Tensor] = field(default_factory=list)
    """What is trained, at its lowest held-out loss so far; empty when it is not measured."""
    seconds: float = 0.0


def save_checkpoint(
    folder: Path,
    identity: str,
    state: TrainState,
    trained: Sequence[Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
) -> None:
    """Write the state, what is trained and the optimisers' moments."""
    tensors: dict[str, Tensor] = {}
    owners = _owners(optimizers)
    for index, parameter in enumerate(trained):
        tensors[f"rows.{index}"] = parameter.detach().contiguous()
        for key, value in owners[parameter].state[parameter].items():
            tensors[f"moments.{index}.{key}"] = value.contiguous()
    for index, tensor in enumerate(state.best):
        tensors[f"best.{index}"] = tensor.contiguous()
    header: dict[str, Any] = {k: v for k, v in vars(state).items() if k != "best"}
    header["identity"] = identity
    text = json.dumps(header)
    about = {"state": text, "digest": _digest(text, tensors)}
    write_atomic(folder / _NAME, to_bytes(tensors, about))


def load_checkpoint(
    folder: Path,
    identity: str,
    trained: Sequence[Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
) -> TrainState | None:
    """Put a checkpoint back into what is trained and the optimisers; None when the run has none."""
    path = folder / _NAME
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        header = json.loads(about.get("state", "{}"))
        whole = about.get("digest") == _digest(about.get("state", ""), tensors)
    except (SafetensorError, ValueError):
        whole, header, tensors = False, {}, {}
    if not whole:
        # Of one flipped bit training would go on and end well, with other rows.
        log.warning("%s cannot be read or differs from its digest: training begins anew", path)
        return None
    if header.pop("identity", None) != identity:
        return None
    owners = _owners(optimizers)
    with torch.no_grad():
        for index, parameter in enumerate(trained):
            parameter.copy_(tensors.pop(f"rows.{index}"))
            prefix = f"moments.{index}."
            for key in [key for key in tensors if key.startswith(prefix)]:
                # The step count stays where the optimiser keeps it; moments follow the rows.
                value = tensors.pop(key)
                moved = value.to(parameter.device) if value.dim() else value
                owners[parameter].state[parameter][key.removeprefix(prefix)] = moved
    places = range(len(trained))
    best = [tensors[f"best.{index}"] for index in places if f"best.{index}" in tensors]
    return TrainState(**header, best=best)


def _digest(header: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of all that a checkpoint says."""
    found = hashlib.sha256(header.encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        raw = tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8)
        found.update(raw.numpy().tobytes())
    return found.hexdigest()


def _owners(optimizers: Sequence[torch.optim.Optimizer]) -> dict[Tensor, torch.optim.Optimizer]:
    """The optimiser that moves each parameter."""
    return {
        parameter: optimizer
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
