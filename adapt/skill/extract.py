"""A skill vector from two full checkpoints: v = theta_RL - theta_SFT, cut to a rank.

For whoever has trained with full weights. Differences are taken in float32, whatever the
checkpoints' type: an update of RL is often smaller than a step of bfloat16, and what was rounded
away when the checkpoint was written is lost. Each tensor is cut by its own singular values, and
the error of each is told. Tensors are read one by one. It writes nothing. Called by
adapt.commands.skill.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from adapt.loki.rows import PREFIX
from store.errors import ConfigError, ModelError

_HINT = "give two model directories of one architecture: before RL, and after"


@dataclass(frozen=True)
class Cut:
    """How one linear layer's difference was cut."""

    module: str
    norm: float
    """Frobenius norm of the whole difference."""
    rank: int
    """Rank of what was kept."""
    error: float
    """Norm of what was cut off, as a share of `norm`."""


@dataclass(frozen=True)
class Extracted:
    """A vector and what it lacks."""

    tensors: dict[str, Tensor]
    """Under PEFT's names: `lora_A` [r, in] and `lora_B` [out, r], scaling 1, float32."""
    cuts: tuple[Cut, ...]
    """Of every linear layer that differs."""
    left_out: dict[str, float]
    """Norms of differences that a LoRA cannot hold (embeddings, norms, biases)."""

    @property
    def error(self) -> float:
        """Norm of all that is missing, as a share of the norm of the whole difference."""
        kept = sum(c.norm**2 * (1 - c.error**2) for c in self.cuts)
        whole = sum(c.norm**2 for c in self.cuts) + sum(n**2 for n in self.left_out.values())
        return max(0.0, 1 - kept / whole) ** 0.5


def extract(
    before: Path,
    after: Path,
    rank: int,
    progress: Callable[[int, int, str], None] | None = None,
) -> Extracted:
    """The difference of two checkpoints, each linear layer's at most of `rank`.

    `progress` gets done, total and a tensor's name. Raises ModelError when the checkpoints have
    other tensors or shapes, hold a number that is none, or do not differ at all.
    """
    if rank < 1:
        raise ConfigError(f"a rank of {rank}", "use 1 or more; 8 to 64 is usual")
    tensors: dict[str, Tensor] = {}
    cuts: list[Cut] = []
    left_out: dict[str, float] = {}
    with ExitStack() as stack:
        old, new = _open(before, stack), _open(after, stack)
        if other := sorted(old.keys() ^ new.keys()):
            raise ModelError(f"only one of {before} and {after} has {other[0]}", _HINT)
        for done, name in enumerate(sorted(old)):
            if progress:
                progress(done, len(old), name)
            change = _change(name, old[name], new[name])
            if change is None:
                continue
            norm = change.norm().item()
            if change.dim() != 2 or not name.startswith("model.layers."):
                left_out[name] = norm
                continue
            module = name.removesuffix(".weight")
            lora_a, lora_b, error = truncated(change, rank)
            tensors[f"{PREFIX}{module}.lora_A.weight"] = lora_a
            tensors[f"{PREFIX}{module}.lora_B.weight"] = lora_b
            cuts.append(Cut(module, norm, lora_a.shape[0], error))
    if not tensors:
        raise ModelError(f"no linear layer of {before} and {after} differs", _HINT)
    return Extracted(tensors, tuple(cuts), left_out)


def truncated(change: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """The best `lora_A` [r, in] and `lora_B` [out, r] for a change [out, in], r at most `rank`.

    Both halves get the square root of the singular values. The third value is the norm of what is
    cut off, as a share of the change's norm (Eckart and Young).
    """
    u, s, v = torch.linalg.svd(change, full_matrices=False)
    # Singular values that are rounding alone would make a rank that there is not.
    own = int((s > s[0] * max(change.shape) * torch.finfo(s.dtype).eps).sum())
    kept = min(rank, own)
    root = s[:kept].sqrt()
    squares = s.double().square()
    error = (squares[kept:own].sum() / squares.sum()).sqrt().item()
    return (root[:, None] * v[:kept]).contiguous(), (u[:, :kept] * root).contiguous(), error


def _change(name: str, old: Callable[[], Tensor], new: Callable[[], Tensor]) -> Tensor | None:
    """new - old in float32 at least; None where they are equal."""
    first, second = old(), new()
    if first.shape != second.shape:
        raise ModelError(f"{name} is {tuple(first.shape)} and {tuple(second.shape)}", _HINT)
    wide = torch.float64 if torch.float64 in (first.dtype, second.dtype) else torch.float32
    change = second.to(wide) - first.to(wide)
    if not bool(torch.isfinite(change).all()):
        raise ModelError(f"{name} holds a number that is none", "check both checkpoints")
    return change if bool(change.any()) else None


def _open(folder: Path, stack: ExitStack) -> dict[str, Callable[[], Tensor]]:
    """Every tensor of a checkpoint by name, read when it is called."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"{folder} holds no *.safetensors", _HINT)
    found: dict[str, Callable[[], Tensor]] = {}
    for path in files:
        try:
            opened = stack.enter_context(safe_open(path, "pt"))
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{path} cannot be read: {error}", _HINT) from error
        found.update(_readers(opened))
    return found


def _readers(opened: Any) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    for name in opened.keys():  # noqa: SIM118
        yield name, lambda name=name: opened.get_tensor(name)
