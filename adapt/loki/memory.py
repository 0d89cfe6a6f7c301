"""Memory of a training run: how much it took at most, and how to take less.

It trains nothing. Called by adapt.loki.learning and adapt.bench.implant.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from adapt.loki.anatomy import decoder_layers
from adapt.loki.packing import packed_attention
from store.errors import ModelError


@contextmanager
def recomputed_layers(model: nn.Module, wanted: bool = True) -> Iterator[None]:
    """Of packed passes, keep only each layer's input for backward, and run the layer again there.

    transformers' own gradient checkpointing. It works on layers in training only, so that they, and
    not what is within, are set so: dropout stays off. Raises ModelError when the model has none.
    """
    if not wanted:
        yield
        return
    transformer: Any = model
    if not getattr(model, "supports_gradient_checkpointing", False):
        raise ModelError(
            f"{type(model).__name__} has no gradient checkpointing",
            "set gradient_checkpointing = False and a smaller batch_tokens",
        )
    layers = decoder_layers(model)
    flags = [layer.training for layer in layers]
    transformer.gradient_checkpointing_enable(
        {
            "use_reentrant": False,
            # Nothing within a layer draws random numbers, whose state would have to be kept.
            "preserve_rng_state": False,
            # When backward runs a layer again, `packed_hidden` has put the model's own back.
            "context_fn": lambda: (nullcontext(), packed_attention(model)),
        }
    )
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer, flag in zip(layers, flags, strict=True):
            layer.training = flag
        transformer.gradient_checkpointing_disable()


def reset_peak(device: torch.device) -> None:
    """Count from here; only a GPU can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int:
    """The most bytes held: by tensors on a GPU since `reset_peak`, else by the process so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
