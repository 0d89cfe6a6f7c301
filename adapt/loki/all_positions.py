"""Scores where the whole layer's output moves, from a token-0 prompt's: definition `captum`.

Every position of the layer moves, so the keys and values of later layers differ at each point of
the path and are computed again; but only from the next layer on, for all points in one batch,
without gradients, never for the model's own output (the last point), and in the last layer no
further than the keys and values. Only the last token, whose gradient is read, is run with a graph.
It batches and counts nothing. Called by adapt.loki.attribution.

N prompts, T positions of the longest, P = T - 1 of its prefix, L layers, m points.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adapt.loki.anatomy import decoder_layers, down_weight
from adapt.loki.continuation import (
    GivenKeys,
    LayerPass,
    additive,
    call,
    join,
    own_layers,
    target_sum,
    visible,
    wide,
)
from adapt.loki.definitions import Definition
from adapt.loki.prefill import Prefill, down_outputs, prefill


class _HandedOver(Exception):
    """The last layer's attention has given its keys and values: nothing else of it is needed."""


class _Taken:
    """A cache stand-in that keeps what it is given."""

    def __init__(self, *, stop: bool) -> None:
        self.stop = stop
        self.pair: tuple[Tensor, Tensor] | None = None

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Called by the layer's attention."""
        self.pair = (keys, values)
        if self.stop:
            raise _HandedOver
        return keys, values


def baseline(model: nn.Module, length: int) -> list[Tensor]:
    """Per layer the down_proj's output [1, length, d_model] of token 0 repeated.

    The model is causal: the first T positions are those of a prompt of T.
    """
    device = down_weight(decoder_layers(model)[0]).device
    return down_outputs(model, torch.zeros(1, length, dtype=torch.long, device=device))


def score_all_positions(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    definition: Definition,
    steps: int,
    start: Sequence[Tensor],
) -> Tensor:
    """Signed scores [N, L, d_model] of prompts of any lengths; float64 when the model is.

    `start` is a `baseline` at least as long as the longest prompt.
    """
    seen = prefill(model, prompts, last_only=False)
    points, weights = definition.points(steps), definition.weights(steps)
    # The last point's prefix is the model's own, which the prefill has kept.
    assert points[-1] == 1.0, definition.name
    scores = []
    for index, part in enumerate(seen.layers):
        kind, device = wide(part.output), part.output.device
        begin = start[index][:, : part.output.shape[1]].to(kind)
        span = part.output.to(kind) - begin
        path = (
            begin[:, None]
            + torch.tensor(points, dtype=kind, device=device)[:, None, None] * span[:, None]
        )
        gradient = _gradient(model, seen, index, path.to(part.output.dtype), definition)
        counts = torch.tensor(weights, dtype=kind, device=device)[:, None]
        score = (gradient.to(kind) * counts).sum(1)
        prompt = torch.arange(len(prompts), device=device)
        scores.append(score * span[prompt, seen.last] if definition.times_activation else score)
    return torch.stack(scores, 1)


def _gradient(
    model: nn.Module, seen: Prefill, index: int, path: Tensor, definition: Definition
) -> Tensor:
    """[N, m, d_model]: the target's gradient at the last token. `path` is [N, m, T, d_model]."""
    (layer, part), *later = own_layers(model, seen.layers)[index:]
    count, points, length, width = path.shape
    prompt = torch.arange(count, device=path.device)
    # The last tokens: one row for each prompt and point.
    moved = path[prompt, :, seen.last].clone()
    last = seen.last.repeat_interleave(points)

    def of_last(tensor: Tensor) -> Tensor:
        return tensor[prompt, seen.last][:, None].expand(-1, points, -1)

    # The positions before them, at every point but the last.
    def of_prefix(tensor: Tensor) -> Tensor:
        wanted = tensor[:, None, : length - 1].expand(-1, points - 1, -1, -1)
        return wanted.reshape(-1, length - 1, width)

    prefix: Tensor | None = None
    if later and length > 1:
        with torch.no_grad():
            prefix = join(
                layer,
                part,
                of_prefix(part.hidden),
                of_prefix(part.attention),
                path[:, :-1, : length - 1].reshape(-1, length - 1, width),
            )
    with torch.enable_grad():
        moved.requires_grad_()
        rows = join(layer, part, of_last(part.hidden), of_last(part.attention), moved)
        rows = rows.reshape(-1, 1, width)
        for place, (after, record) in enumerate(later, 1):
            prefix, keys = _prefix_keys(after, record, prefix, points, stop=place == len(later))
            seeing = visible(record, last)[:, : length - 1]
            mask = torch.cat((seeing, torch.ones_like(last, dtype=torch.bool)[:, None]), -1)
            mask = additive(mask, rows.dtype)[:, None, None]
            rows = call(after, record, rows, at=last, mask=mask, keys=keys)
        total = target_sum(model, rows.view(count, points, width), seen.targets, definition)
        (gradient,) = torch.autograd.grad(total, moved)
    return gradient


@torch.no_grad()
def _prefix_keys(
    layer: nn.Module, part: LayerPass, prefix: Tensor | None, points: int, *, stop: bool
) -> tuple[Tensor | None, GivenKeys]:
    """Run the prefixes [N (m - 1), P, d_model] through a layer; the keys that N m last rows see.

    The prefix is None where there is none, and after the layer that stops.
    """
    length = part.keys.shape[2] - 1
    own = part.keys[:, None, :, :length], part.values[:, None, :, :length]
    if prefix is None:
        return None, GivenKeys(*(pair.expand(-1, points, -1, -1, -1).flatten(0, 1) for pair in own))
    taken = _Taken(stop=stop)
    mask = None
    if part.mask is not None:
        mask = additive(part.mask[:length, :length], prefix.dtype)[None, None]
    try:
        prefix = call(layer, part, prefix, at=slice(0, length), mask=mask, keys=taken)
    except _HandedOver:
        prefix = None
    assert taken.pair is not None
    moved = (pair.unflatten(0, (-1, points - 1)) for pair in taken.pair)
    return prefix, GivenKeys(
        *(torch.cat((new, old), 1).flatten(0, 1) for new, old in zip(moved, own, strict=True))
    )
