"""How two changes of one model lie to each other: norms, cosines, shared rows.

PaST rests on v being nearly orthogonal to what documents write into the weights (arXiv
2601.11258); this measures it, module by module, from the LoRA halves alone: a change is never
multiplied out. It draws nothing. Called by adapt.commands.skill and adapt.reproduce.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from adapt.loki.selection import Mask

Change = Mapping[str, tuple[Tensor, Tensor]]
"""Module path -> A [r, in] and B [out, r]; the weight moves by B A. A dense change D is (D, I)."""


@dataclass(frozen=True)
class Angle:
    """Two changes of one module. A module that only one of them moves has cosine 0."""

    module: str
    cosine: float
    norm: float
    """Frobenius norm of the first change."""
    other: float
    """That of the second."""


def angles(first: Change, second: Change) -> list[Angle]:
    """Of every module that either moves, in order of the model's layers."""
    found = []
    for module in sorted(first.keys() | second.keys(), key=_place):
        one, two = first.get(module), second.get(module)
        norm, other = (_norm(pair) for pair in (one, two))
        cosine = 0.0
        if one is not None and two is not None and norm > 0 and other > 0:
            cosine = _inner(one, two) / (norm * other)
        found.append(Angle(module, cosine, norm, other))
    return found


def whole(found: list[Angle]) -> Angle:
    """The same of all modules together, as if they were one."""
    norm = sum(a.norm**2 for a in found) ** 0.5
    other = sum(a.other**2 for a in found) ** 0.5
    inner = sum(a.cosine * a.norm * a.other for a in found)
    return Angle("all", inner / (norm * other) if norm and other else 0.0, norm, other)


def share_in_rows(change: Change, mask: Mask) -> float:
    """How much of a change's squared norm lies in the rows that LoKI's updates move."""
    inside = everything = 0.0
    for module, (a, b) in change.items():
        everything += _norm((a, b)) ** 2
        parts = module.split(".")
        if parts[-1] == "down_proj":
            rows = list(mask.rows[int(parts[parts.index("layers") + 1])])
            inside += _norm((a, b[rows])) ** 2 if rows else 0.0
    return inside / everything if everything else 0.0


def _inner(one: tuple[Tensor, Tensor], two: tuple[Tensor, Tensor]) -> float:
    """tr((B1 A1)^T (B2 A2)) = sum of (B1^T B2) * (A1 A2^T), in float64."""
    (a1, b1), (a2, b2) = ([half.double() for half in pair] for pair in (one, two))
    return torch.sum((b1.t() @ b2) * (a1 @ a2.t())).item()


def _norm(pair: tuple[Tensor, Tensor] | None) -> float:
    # In this order a norm that is no number stays one, where max(0.0, nan) would hide it.
    return max(_inner(pair, pair), 0.0) ** 0.5 if pair is not None else 0.0


def _place(module: str) -> tuple[int, str]:
    numbers = [int(part) for part in module.split(".") if part.isdigit()]
    return (numbers[0] if numbers else -1, module)
