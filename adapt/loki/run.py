"""One training run: what stays fixed, the state that moves, and what the model says of a batch.

It takes no step. Made by adapt.loki.learning, used by adapt.loki.training.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from adapt.loki.batches import Batch, Prepared
from adapt.loki.checkpoint import TrainState
from adapt.loki.packing import packed_hidden
from adapt.loki.settings import ImplantSettings


@dataclass
class Run:
    """One training run: what stays fixed, and the state that moves."""

    model: nn.Module
    trained: Sequence[nn.Parameter]
    """All that moves, in fp32."""
    optimizers: Sequence[torch.optim.Optimizer]
    old_head: nn.Module
    """The model's output layer as it came; its own when that does not move."""
    train: Prepared
    replay: Prepared
    held_out: Prepared
    epochs: list[list[list[int]]]
    """Per epoch, batches of indices into `train`."""
    replayed: list[list[int]]
    """Per step, indices into `replay`; empty when nothing is replayed."""
    settings: ImplantSettings
    identity: str
    """Digest of everything that decides the result; a checkpoint of another run is ignored."""
    before: dict[int, Tensor] = field(default_factory=dict)
    """By index into `replay`: last hidden states [K, d_model], at its K tokens with loss, of the
    model as it came: before this update, and before those that it starts from."""
    state: TrainState = field(default_factory=TrainState)

    @property
    def steps(self) -> int:
        """Steps of the whole run, if nothing stops it early."""
        return sum(map(len, self.epochs))

    @property
    def device(self) -> torch.device:
        """Where all of it is."""
        return self.trained[0].device

    def hidden(self, batch: Batch) -> Tensor:
        """Last hidden states [K, d_model] at the batch's loss positions."""
        with self._autocast():
            hidden = packed_hidden(self.model, batch.ids, batch.packing)
        return hidden.index_select(0, batch.positions)

    def logits(self, hidden: Tensor) -> Tensor:
        """fp32 [K, vocabulary] of [K, d_model]."""
        with self._autocast():
            logits = self.model.get_submodule("lm_head")(hidden)
        return logits.float()

    @torch.no_grad()
    def logits_before(self, indices: Sequence[int]) -> Tensor:
        """fp32 [K, vocabulary] of the model as it came, for indices into `replay`."""
        hidden = torch.cat([self.before[index] for index in indices]).to(self.device)
        with self._autocast():
            logits = self.old_head(hidden)
        return logits.float()

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The precision of the forward pass."""
        kind, wanted = self.device.type, self.settings.precision
        if wanted == "auto":
            wanted = "bfloat16" if kind == "cuda" or _cpu_has_bfloat16() else "float32"
        bfloat16 = wanted == "bfloat16"
        return torch.autocast(kind, torch.bfloat16) if bfloat16 else contextlib.nullcontext()


def _cpu_has_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16; without them it is slower."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
