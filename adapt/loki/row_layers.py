"""The selected rows of a model as trainable parameters, in place of its `down_proj` layers.

While rows are installed, the frozen weight holds them where they have moved to, so that forward
costs what it costs without them; backward adds the gradients of those rows alone. Leaving puts
every bit back. It runs no optimiser and knows no files. Called by adapt.loki.methods.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from adapt.loki.anatomy import decoder_layers, frozen
from adapt.loki.selection import Mask
from store.errors import ModelError


class RowLinear(nn.Module):
    """A frozen linear layer whose k output rows `rows` move; all else of it cannot change.

    LoKI moves them by `lora_a` [k, d_ff]. LoKI* moves them by `lora_b @ lora_a`, [k, r] and
    [r, d_ff]; the paper calls the two A_l and B_l. Parameters are fp32.
    """

    def __init__(self, linear: nn.Module, rows: Sequence[int], rank: int | None, seed: int) -> None:
        super().__init__()
        self.linear = linear
        weight = linear.get_parameter("weight")
        d_ff, device = weight.shape[1], weight.device
        self.rows = torch.tensor(rows, device=device)
        self.before = weight.detach().index_select(0, self.rows)
        self.lora_b = None
        start = torch.zeros(len(rows) if rank is None else rank, d_ff)
        if rank is not None:
            # As LoRA starts: the product is zero, and its first gradient is not.
            bound = 1 / math.sqrt(d_ff)
            start.uniform_(-bound, bound, generator=torch.Generator().manual_seed(seed))
            self.lora_b = nn.Parameter(torch.zeros(len(rows), rank, device=device))
        self.lora_a = nn.Parameter(start.to(device))

    @property
    def trained(self) -> list[nn.Parameter]:
        """lora_a, and lora_b if there is one."""
        return [self.lora_a] if self.lora_b is None else [self.lora_a, self.lora_b]

    def forward(self, x: Tensor) -> Tensor:
        """W x with the moved rows. x: [..., d_ff] -> [..., d_model]."""
        self._refresh()
        weight, bias = self.linear.get_parameter("weight"), getattr(self.linear, "bias", None)
        return _MovedRows.apply(x, weight, bias, self.rows, self.lora_a, self.lora_b)

    @torch.no_grad()
    def restore(self) -> None:
        """Put the rows back, bit for bit."""
        self._write(self.before)

    @torch.no_grad()
    def _refresh(self) -> None:
        """Write the rows into the weight where they now are.

        In every pass: fused AdamW moves a parameter without counting it in its version.
        """
        moved = self.lora_a if self.lora_b is None else self.lora_b @ self.lora_a
        self._write((self.before + moved).to(self.before.dtype))

    def _write(self, rows: Tensor) -> None:
        # Not through the parameter itself: equal rows written again would forbid the backward pass
        # of an earlier forward.
        self.linear.get_parameter("weight").data.index_copy_(0, self.rows, rows)


class _MovedRows(torch.autograd.Function):
    """y = x W^T where W holds the moved rows; backward gives them, and only them, a gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        rows: Tensor,
        lora_a: Tensor,
        lora_b: Tensor | None,
    ) -> Tensor:
        kind = x.device.type
        if torch.is_autocast_enabled(kind):
            # Left to the linear layer itself, backward would be given what was not yet cast.
            dtype = torch.get_autocast_dtype(kind)
            x, weight = x.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        ctx.save_for_backward(x, weight, rows, lora_a, lora_b)
        return functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, weight, rows, lora_a, lora_b = ctx.saved_tensors
        (grad,) = grads
        back = grad @ weight if ctx.needs_input_grad[0] else None
        moved = grad.index_select(-1, rows).flatten(0, -2)
        flat = x.flatten(0, -2)
        if lora_b is None:
            return back, None, None, None, (moved.t() @ flat).to(lora_a.dtype), None
        inner = moved @ lora_b.to(moved.dtype)
        grad_a = inner.t() @ flat
        grad_b = moved.t() @ (flat @ lora_a.to(flat.dtype).t())
        return back, None, None, None, grad_a.to(lora_a.dtype), grad_b.to(lora_b.dtype)


@contextmanager
def installed_rows(
    model: nn.Module, mask: Mask, rank: int | None = None, seed: int = 0
) -> Iterator[list[nn.Parameter]]:
    """Freeze the model and give the moving rows' parameters, layer by layer, at no change.

    A layer without rows has none; one of k rows has [k, d_ff], or [rank, d_ff] and [k, rank] with a
    `rank` (LoKI*). Afterwards the model is what it was, bit for bit. Raises ModelError when the
    mask is not of this model.
    """
    check_mask(model, mask)
    places = [
        (layer.get_submodule("mlp"), rows)
        for layer, rows in zip(decoder_layers(model), mask.rows, strict=True)
        if rows
    ]
    with frozen(model):
        wrapped = [
            RowLinear(mlp.get_submodule("down_proj"), rows, rank, seed + index)
            for index, (mlp, rows) in enumerate(places)
        ]
        for (mlp, _), layer in zip(places, wrapped, strict=True):
            mlp.down_proj = layer
        try:
            yield [parameter for layer in wrapped for parameter in layer.trained]
        finally:
            for (mlp, _), layer in zip(places, wrapped, strict=True):
                layer.restore()
                mlp.down_proj = layer.linear


def check_mask(model: nn.Module, mask: Mask) -> None:
    """Raises ModelError when the mask is for another number of layers or rows."""
    layers = decoder_layers(model)
    width = model.get_parameter("model.norm.weight").shape[0]
    if (len(layers), width) != (len(mask.rows), mask.d_model):
        raise ModelError(
            f"the mask is for {len(mask.rows)} layers of {mask.d_model} rows, the model has "
            f"{len(layers)} of {width}",
            "run attribution on this model",
        )
