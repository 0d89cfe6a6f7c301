"""Reading on from kept keys and values, for many conversations that grow at their own pace.

transformers' own cache is copied whole for every token, and keys that query heads share are copied
for each; here they lie in blocks and are read where they lie: a third of the time a token for a
small model on a CPU. It goes through transformers' interfaces and so serves any model that does. It
draws no tokens. Called by adapt.skill.rollout.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface
from transformers.cache_utils import Cache, DynamicLayer

NAME = "perennial_reading"
_BLOCK = 128
"""Positions by which the room for keys and values grows."""


class Reader:
    """A causal language model and what it has read of B conversations."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.device = next(model.parameters()).device
        self._cache = Cache(layer_class_to_replicate=_Blocks)
        self._seen = torch.zeros(0, 0, dtype=torch.bool, device=self.device)
        """bool [B, T]: which of the kept positions are real."""

    @torch.no_grad()
    def read(self, ids: Tensor, real: Tensor) -> Tensor:
        """Logits [B, vocabulary] after `ids` [B, n]; positions where `real` is False are holes."""
        self._seen = torch.cat((self._seen, real), 1) if self._seen.numel() else real
        places = (self._seen.long().cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        config: Any = self.model.get_submodule("model").config
        before = config._attn_implementation
        AttentionInterface.register(NAME, _attention)
        config._attn_implementation = NAME
        try:
            return self.model(
                input_ids=ids, position_ids=places, past_key_values=self._cache, use_cache=True,
                logits_to_keep=1, seen=self._seen,
            ).logits[:, -1]  # fmt: skip
        finally:
            config._attn_implementation = before

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these conversations only; one may stand several times."""
        index = torch.tensor(list(rows), device=self.device)
        self._cache.batch_select_indices(index)
        self._seen = self._seen[index]


class _Blocks(DynamicLayer):
    """Keys and values [B, heads, T, head_dim] in room that grows by blocks."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> Any:
        """Write what is new behind what is there, and give all of it."""
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if start == 0 or end > self._room[0].shape[-2]:
            room = -(-end // _BLOCK) * _BLOCK
            new = [s.new_empty(*s.shape[:2], room, s.shape[3]) for s in (key_states, value_states)]
            for wide, old in zip(new, self._room if start else (), strict=False):
                wide[:, :, :start] = old[:, :, :start]
            self._room, self.is_initialized = new, True
        for wide, states in zip(self._room, (key_states, value_states), strict=True):
            wide[:, :, start:end] = states
        self.keys, self.values = (wide[:, :, :end] for wide in self._room)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows."""
        end = self.get_seq_length()
        self._room = [wide[indices] for wide in self._room]
        self.keys, self.values = (wide[:, :, :end] for wide in self._room)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    seen: Tensor,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention over real positions. query [B, heads, n, size] -> [B, n, heads, size].

    Key and value [B, fewer heads, T, size]. transformers makes no mask for a name it does not know.
    """
    assert attention_mask is None, "holes are told by `seen`"
    batch, heads, n, size = query.shape
    own, total = key.shape[1], key.shape[2]
    allowed = seen[:, None, :]
    if sliding_window is not None and sliding_window < total:
        # By place among real tokens: holes do not count.
        order = seen.long().cumsum(1)
        allowed = allowed & (order[:, None, :] > order[:, -n:, None] - sliding_window)
    if n > 1:
        places = torch.arange(total, device=query.device)
        last = places[total - n :, None]
        # A hole attends to itself: without anything to attend to it would be no number.
        allowed = (allowed & (places <= last)) | (places == last)
        out = functional.scaled_dot_product_attention(
            query, key, value, allowed[:, None], scale=scaling, enable_gqa=True
        )
        return out.transpose(1, 2).contiguous(), None
    # One token: heads that share keys as rows of one product, which copies no key.
    grouped = query.view(batch, own, heads // own, size)
    scores = (grouped @ key.transpose(-1, -2)) * (scaling or size**-0.5)
    scores = scores.masked_fill(~allowed[:, None], torch.finfo(scores.dtype).min)
    out = scores.softmax(-1) @ value
    return out.reshape(batch, 1, heads, size), None
