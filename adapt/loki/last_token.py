"""Scores where only the last token's output moves, from zero: definitions `release` and `paper`.

The model is causal, so changing the last token's output leaves all other positions alone. One
prefill keeps their keys and values; then one sweep carries m rows per layer, joining after that
layer, each seeing the prefix and itself. Rows are independent, so one backward of the summed
target gives every gradient: about two forwards in all, instead of m forwards and backwards for each
layer, and exact. It batches and counts nothing. Called by adapt.loki.attribution.

N prompts, L layers, m points, R rows so far.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

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
from adapt.loki.prefill import Prefill, prefill


def score_last_token(
    model: nn.Module, prompts: Sequence[Sequence[int]], definition: Definition, steps: int
) -> Tensor:
    """Signed scores [N, L, d_model] of prompts of any lengths; float64 when the model is."""
    seen = prefill(model, prompts, last_only=True)
    with torch.enable_grad():
        rows, starts = _sweep(model, seen, definition.points(steps))
        gradients = torch.autograd.grad(target_sum(model, rows, seen.targets, definition), starts)
    scores = []
    for gradient, part in zip(gradients, seen.layers, strict=True):
        kind = wide(gradient)
        weights = torch.tensor(definition.weights(steps), dtype=kind, device=gradient.device)
        score = (gradient.to(kind) * weights[:, None]).sum(1)
        scores.append(score * part.output[:, 0].to(kind) if definition.times_activation else score)
    return torch.stack(scores, 1)


def _sweep(model: nn.Module, seen: Prefill, points: Sequence[float]) -> tuple[Tensor, list[Tensor]]:
    """The last layer's output [N, L m, d_model] of all rows, and per layer the moved outputs."""
    starts: list[Tensor] = []
    rows: Tensor | None = None
    for layer, part in own_layers(model, seen.layers):
        if rows is not None:
            mask = _row_mask(part, seen.last, rows)
            keys = GivenKeys(part.keys, part.values)
            rows = call(layer, part, rows, at=seen.last, mask=mask, keys=keys)
        places = torch.tensor(points, dtype=wide(part.output), device=part.output.device)
        moved = (part.output.to(places.dtype) * places[:, None]).to(part.output.dtype)
        starts.append(moved.requires_grad_())
        joining = join(
            layer, part, part.hidden.expand_as(moved), part.attention.expand_as(moved), moved
        )
        rows = joining if rows is None else torch.cat((rows, joining), 1)
    assert rows is not None
    return rows, starts


def _row_mask(part: LayerPass, last: Tensor, rows: Tensor) -> Tensor:
    """[N, 1, R, T + R]: every row sees its prompt's earlier tokens and itself."""
    prompts, count = rows.shape[:2]
    itself = torch.eye(count, dtype=torch.bool, device=rows.device)
    prefix = visible(part, last)[:, None].expand(-1, count, -1)
    allowed = torch.cat((prefix, itself.expand(prompts, -1, -1)), -1)
    return additive(allowed, rows.dtype)[:, None]
