"""Sequences of any length behind one another in one row, without padding, each blind to the others.

Everything but attention works on single positions, so it runs on the row as it is; attention runs
on groups of sequences of similar length. It goes through transformers' attention interface and so
serves any model that does. It makes no batches and trains nothing. Called by adapt.loki and
adapt.skill.policy.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface

NAME = "perennial_packed"
_STRETCH, _SLACK = 1.25, 8
"""A group's longest sequence has at most so many times, and so many more, tokens than its
shortest: more groups cost calls, longer ones padding, whose cost grows with the square."""


@dataclass(frozen=True)
class Group:
    """N sequences of at most T positions, as places in the row."""

    shape: tuple[int, int]
    """(N, T)."""
    places: Tensor
    """int64 [N * T]; the padding on the right, where causal attention never looks, repeats 0."""
    real: Tensor
    """int64: which of the N * T are no padding."""


@dataclass(frozen=True)
class Packing:
    """How sequences lie in a row of `total` positions."""

    total: int
    position_ids: Tensor
    """int64 [1, total]: each sequence counts from 0."""
    groups: tuple[Group, ...]
    inverse: Tensor
    """int64 [total]: where each place of the row is among the groups' real positions."""


def pack(lengths: Sequence[int], device: torch.device | str = "cpu") -> Packing:
    """Lay sequences of these lengths behind one another."""
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    gathered: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        shortest = lengths[gathered[-1][0]] if gathered else 0
        if not gathered or lengths[index] > shortest * _STRETCH + _SLACK:
            gathered.append([])
        gathered[-1].append(index)
    groups, order = [], []
    for members in gathered:
        longest = lengths[members[-1]]
        places = torch.zeros(len(members), longest, dtype=torch.long)
        real = torch.zeros(len(members), longest, dtype=torch.bool)
        for row, index in enumerate(members):
            end = starts[index] + lengths[index]
            places[row, : lengths[index]] = torch.arange(starts[index], end)
            real[row, : lengths[index]] = True
        kept = real.flatten().nonzero()[:, 0]
        order.append(places.flatten()[kept])
        groups.append(Group((len(members), longest), places.flatten().to(device), kept.to(device)))
    total = sum(lengths)
    inverse = torch.empty(total, dtype=torch.long)
    inverse[torch.cat(order)] = torch.arange(total)
    positions = torch.cat([torch.arange(length) for length in lengths])
    return Packing(total, positions[None].to(device), tuple(groups), inverse.to(device))


def packed_hidden(model: nn.Module, ids: Tensor, packing: Packing) -> Tensor:
    """Last hidden states [total, d_model] of packed sequences; `ids` is int64 [1, total].

    `model` is a transformers causal LM. The states are those of each sequence run alone.
    """
    with packed_attention(model):
        out = model.get_submodule("model")(
            input_ids=ids, position_ids=packing.position_ids, use_cache=False, packing=packing
        )
    return out.last_hidden_state[0]


@contextmanager
def packed_attention(model: nn.Module) -> Iterator[None]:
    """Attention within packed sequences. `packed_hidden` has it; a layer run again needs it too."""
    AttentionInterface.register(NAME, _attention)
    config: Any = model.config
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packing: Packing,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each sequence. query [1, heads, total, head_dim] -> [1, total, ...].

    Key and value may have fewer heads. transformers makes no mask for a name it does not know.
    """
    assert attention_mask is None, "a mask cannot hold for packed sequences"
    # On a CPU the backward pass of bfloat16 attention takes twice as long as that of float32.
    kind = query.dtype if query.is_cuda else torch.float32
    flat = [tensor[0].transpose(0, 1).flatten(1).to(kind) for tensor in (query, key, value)]
    size = query.shape[-1]
    outputs = []
    for group in packing.groups:
        count, longest = group.shape
        q, k, v = (
            tensor.index_select(0, group.places).view(count, longest, -1, size).transpose(1, 2)
            for tensor in flat
        )
        mask = None
        if sliding_window is not None and sliding_window < longest:
            allowed = torch.ones(longest, longest, dtype=torch.bool, device=q.device)
            mask = allowed.tril() & allowed.triu(1 - sliding_window)
        # Autocast would make bfloat16 of it again.
        with torch.autocast(q.device.type, enabled=False):
            out = functional.scaled_dot_product_attention(
                q, k, v, mask, is_causal=mask is None, scale=scaling, enable_gqa=True
            )
        outputs.append(out.transpose(1, 2).flatten(0, 1).flatten(1).index_select(0, group.real))
    row = torch.cat(outputs).index_select(0, packing.inverse)
    return row.view(1, packing.total, -1, size).to(query.dtype), None
