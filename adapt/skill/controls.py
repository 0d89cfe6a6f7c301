"""What a skill vector must beat: changes of its size and place that mean nothing.

Without them, a gain could be that of any push in these layers. Called by adapt.reproduce.past.
"""

import random
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from store.errors import ModelError

_LAYER = re.compile(r"(?<=\.layers\.)\d+(?=\.)")


def random_like(tensors: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Gaussian halves of the same shapes; each module's change keeps its Frobenius norm."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}
    for name in sorted(n for n in tensors if ".lora_A." in n):
        a, b = tensors[name], tensors[name.replace(".lora_A.", ".lora_B.")]
        noise_a, noise_b = (torch.randn(half.shape, generator=generator) for half in (a, b))
        scale = (b @ a).norm() / (noise_b @ noise_a).norm()
        found[name] = noise_a
        found[name.replace(".lora_A.", ".lora_B.")] = noise_b * scale
    return found


def across_layers(tensors: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """The same changes, every one in another layer than its own.

    Raises ModelError for a model of one layer.
    """
    layers = sorted({int(n[0]) for name in tensors if (n := _LAYER.findall(name))})
    if len(layers) < 2:
        raise ModelError(f"a vector over {len(layers)} layers cannot be permuted", "leave it out")
    order = layers[:]
    rng = random.Random(seed)
    while any(a == b for a, b in zip(layers, order, strict=True)):
        rng.shuffle(order)
    place = dict(zip(map(str, layers), map(str, order), strict=True))
    return {_LAYER.sub(lambda m: place[m[0]], name): t for name, t in tensors.items()}


def only_in(tensors: Mapping[str, Tensor], place: str) -> dict[str, Tensor]:
    """The same changes in the modules whose names hold `place`; none in the others."""
    return {
        name: tensor if place in name or ".lora_A." in name else torch.zeros_like(tensor)
        for name, tensor in tensors.items()
    }
