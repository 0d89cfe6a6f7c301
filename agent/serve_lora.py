"""LoRA arithmetic for vLLM on a CPU: one matrix product per adapter in a batch, not per token.

vLLM's own CPU path copies the adapter's padded matrices once for every token of the batch, and
gives tokens without an adapter the last slot's, which is wrong once every slot is taken. Here
tokens are grouped by adapter once per step, and each group is multiplied with its adapter's
matrices where they lie (the "shrink" and "expand" of Punica, arXiv 2310.18547), of which only as
many ranks as the adapter has: vLLM fills them up to the largest rank it allows. Loaded by vLLM
through its plugin entry point; on other platforms it does nothing.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    PunicaWrapperCPU: Any = object
else:
    try:
        from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU
    except ImportError:
        # Without vLLM there is nothing to plug into.
        PunicaWrapperCPU = object

Groups = list[tuple[int, "Tensor | slice"]]
"""(adapter slot, its rows of the batch) for every adapter of a batch."""


def groups_of(indices: Tensor) -> Groups:
    """The adapters of a batch and their rows; `indices` is int64 [tokens], -1 for no adapter."""
    found = torch.unique(indices).tolist()
    if len(found) == 1:
        return [(found[0], slice(None))] if found[0] >= 0 else []
    return [(i, (indices == i).nonzero()[:, 0]) for i in found if i >= 0]


def rank_of(a_all: Tensor, slot: int) -> int:
    """How many ranks of a slot are in use; the ones behind them are zero. a_all is
    [slots, 1, rank, in]."""
    used = a_all[slot].flatten(0, -2).any(-1).nonzero()
    return int(used[-1]) + 1 if len(used) else 0


def add_linear(
    y: Tensor,
    x: Tensor,
    a: Sequence[Tensor],
    b: Sequence[Tensor],
    widths: Sequence[int],
    scale: float,
    groups: Groups,
    rank: Callable[[Tensor, int], int] = rank_of,
) -> None:
    """y[rows, slice] += scale * x[rows] @ A.T @ B.T, for each group and each slice, in place.

    y is [tokens, sum of widths], x [tokens, in]; a and b hold per slice [slots, 1, rank, in] and
    [slots, 1, width, rank].
    """
    for slot, rows in groups:
        own = x[rows]
        start = 0
        for a_all, b_all, width in zip(a, b, widths, strict=True):
            if used := rank(a_all, slot):
                low = a_all[slot].flatten(0, -2)[:used]
                high = b_all[slot].flatten(0, -2)[:, :used]
                change = (own.to(low.dtype) @ low.T) @ high.T
                y[rows, start : start + width] += (change * scale).to(y.dtype)
            start += width


class GroupedLora(PunicaWrapperCPU):
    """vLLM's CPU wrapper with the linear layers and the logits computed by groups."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loaded: list[int | None] = []
        self._ranks: dict[tuple[int, int], int] = {}

    def update_metadata(
        self, mapping: Any, lora_index_to_id: list[int | None], *args: Any, **kwargs: Any
    ) -> None:
        """Group the step's tokens, once for all layers."""
        super().update_metadata(mapping, lora_index_to_id, *args, **kwargs)
        self._groups = groups_of(self.token_lora_indices)
        self._sampled = groups_of(self.sampler_indices)
        if lora_index_to_id != self._loaded:
            # A slot with another adapter has other ranks: the old ones would cut the new off.
            self._loaded = list(lora_index_to_id)
            self._ranks.clear()

    def _rank(self, a_all: Tensor, slot: int) -> int:
        key = (a_all.data_ptr(), slot)
        if key not in self._ranks:
            self._ranks[key] = rank_of(a_all, slot)
        return self._ranks[key]

    def add_lora_linear(
        self,
        y: Tensor,
        x: Tensor,
        lora_a_stacked: tuple[Tensor, ...],
        lora_b_stacked: tuple[Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        **_: Any,
    ) -> None:
        """The adapters' change of one linear layer, its output slices packed side by side."""
        y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        add_linear(
            y, x, lora_a_stacked, lora_b_stacked, output_slices, scale, self._groups, self._rank
        )

    def add_lora_logits(
        self,
        y: Tensor,
        x: Tensor,
        lora_a_stacked: Tensor,
        lora_b_stacked: Tensor,
        scale: float,
        **_: Any,
    ) -> None:
        """The adapters' change of the logits, at the positions that are sampled."""
        y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        width = lora_b_stacked.shape[-2]
        add_linear(
            y, x, [lora_a_stacked], [lora_b_stacked], [width], scale, self._sampled, self._rank
        )


def register() -> None:
    """Make vLLM's CPU platform use `GroupedLora`."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        platform: Any = type(current_platform)
        platform.get_punica_wrapper = classmethod(lambda cls: f"{__name__}.{GroupedLora.__name__}")
