"""The optimisers of a training run, and the rate over its steps.

It takes no step. Called by adapt.loki.learning and adapt.loki.training.
"""

import math
from collections.abc import Collection, Sequence

import torch
from torch import nn

from adapt.loki.settings import ImplantSettings


def make_optimizers(
    trained: Sequence[nn.Parameter],
    settings: ImplantSettings,
    embeddings: Collection[nn.Parameter] = (),
) -> list[torch.optim.Optimizer]:
    """The optimisers of all parameters, without weight decay; a rate means about the same step.

    Muon (https://kellerjordan.github.io/posts/muon) orthogonalises a step, which has no meaning for
    a vector and none that helps for `embeddings`, whose rows stand for tokens: AdamW moves those.
    """
    by_muon: list[nn.Parameter] = []
    if settings.optimizer == "muon":
        apart = {id(parameter) for parameter in embeddings}
        by_muon = [p for p in trained if p.dim() == 2 and id(p) not in apart]
    moved = {id(parameter) for parameter in by_muon}
    rest = [parameter for parameter in trained if id(parameter) not in moved]
    rate = settings.learning_rate
    optimizers: list[torch.optim.Optimizer] = []
    if by_muon:
        optimizers.append(
            torch.optim.Muon(
                by_muon, rate, weight_decay=0.0, momentum=0.9, adjust_lr_fn="match_rms_adamw"
            )
        )
    if rest:
        fused = rest[0].device.type in ("cpu", "cuda")
        optimizers.append(torch.optim.AdamW(rest, rate, weight_decay=0.0, fused=fused))
    return optimizers


def set_rate(optimizers: Sequence[torch.optim.Optimizer], rate: float) -> None:
    """The rate of the next step, for all."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


def rate_factor(step: int, steps: int, settings: ImplantSettings) -> float:
    """The part of the learning rate at `step` (from 0): up over the warm-up, then down to zero."""
    warm = max(1, round(settings.warmup * steps)) if settings.warmup else 0
    if step < warm:
        return (step + 1) / warm
    left = 1 - (step - warm) / max(1, steps - warm)
    return left if settings.schedule == "linear" else (1 - math.cos(math.pi * left)) / 2
