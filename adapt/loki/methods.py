"""What of a model is trained: LoKI's rows, and the methods that it is compared with.

A method gives parameters to train and takes every trace of itself back. It trains nothing and
saves nothing. Called by adapt.loki.learning and adapt.bench.implant.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from adapt.loki.anatomy import decoder_layers, frozen
from adapt.loki.row_layers import check_mask, installed_rows
from adapt.loki.selection import Mask
from store.errors import ConfigError, ModelError

Method = Literal["loki", "loki-star", "lora", "dora", "pissa", "full"]
"""`loki` moves the mask's rows of W_down, `loki-star` moves them by a product of low rank (both
arXiv 2505.22120). `lora` (2106.09685), `dora` (2402.09353) and `pissa` (2404.02948) add such a
product to every linear layer of attention and MLP, through PEFT; `full` moves all weights."""

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of a decoder layer."""


def check_method(model: nn.Module, method: Method, mask: Mask | None, rank: int | None) -> None:
    """Raises ConfigError or ModelError for what `installed` could not install."""
    if method not in get_args(Method):
        raise ConfigError(f"unknown method {method!r}", f"use {', '.join(get_args(Method))}")
    decoder_layers(model)
    if method not in ("loki", "loki-star"):
        return
    if mask is None:
        raise ConfigError(f"{method} moves the rows of a mask, and there is none", "give a mask")
    check_mask(model, mask)
    if method == "loki-star" and (rank is None or rank >= mask.rank):
        raise ConfigError(
            f"loki-star of rank {rank} has no lower rank than its {mask.rank} rows",
            f"choose a rank below {mask.rank}, or loki",
        )


@contextmanager
def installed(
    model: nn.Module,
    method: Method,
    mask: Mask | None = None,
    *,
    rank: int = 16,
    seed: int = 0,
) -> Iterator[list[nn.Parameter]]:
    """The parameters that `method` trains, in fp32, while all else is frozen.

    As installed they change nothing, or to rounding with `pissa`. `rank` is for all but `loki` and
    `full`; `seed` for what begins at random. Afterwards the model is what it was, bit for bit.
    Raises ConfigError or ModelError for a method or mask that does not fit the model.
    """
    check_method(model, method, mask, rank)
    with ExitStack() as stack:
        if method in ("loki", "loki-star"):
            assert mask is not None, "check_method asks for it"
            inner = rank if method == "loki-star" else None
            trained = stack.enter_context(installed_rows(model, mask, inner, seed))
        elif method == "full":
            stack.enter_context(frozen(model))
            trained = list(model.parameters())
            stack.enter_context(_copied(trained))
            for parameter in trained:
                parameter.requires_grad_(True)
        else:
            trained = stack.enter_context(_installed_lora(model, method, rank, seed))
        yield trained


@contextmanager
def _installed_lora(
    model: nn.Module, method: Method, rank: int, seed: int
) -> Iterator[list[nn.Parameter]]:
    """LoRA of scaling 1, or one of its kin, in every linear layer, through PEFT."""
    from peft import LoraConfig, inject_adapter_in_model

    places = [
        (parent, name, child)
        for layer in decoder_layers(model)
        for parent in layer.modules()
        for name, child in parent.named_children()
        if name in LINEAR
    ]
    config = LoraConfig(
        r=rank,
        lora_alpha=rank,
        target_modules=list(LINEAR),
        use_dora=method == "dora",
        init_lora_weights="pissa" if method == "pissa" else True,
    )
    with frozen(model), ExitStack() as stack:
        if method == "pissa":
            # It takes its first directions out of the weights.
            stack.enter_context(_copied(child.get_parameter("weight") for _, _, child in places))
        try:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                inject_adapter_in_model(config, model)
            trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
            for parameter in trained:
                # PEFT makes them of the weights' type, in which small steps would be lost.
                parameter.data = parameter.data.float()
            yield trained
        finally:
            for parent, name, child in places:
                setattr(parent, name, child)
            if hasattr(model, "peft_config"):
                del model.peft_config


@contextmanager
def _copied(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Give parameters fp32 copies of their values; their own, never written to, come back."""
    originals = [(parameter, parameter.data) for parameter in parameters]
    for parameter, data in originals:
        parameter.data = data.to(torch.float32, copy=True)
    try:
        yield
    finally:
        for parameter, data in originals:
            parameter.grad = None
            parameter.data = data


def check_start(trained: Sequence[nn.Parameter], start: Sequence[Tensor]) -> None:
    """Raises ModelError when these cannot be the values of what is trained."""
    hint = "start from what the same method trained on this base model"
    if len(start) != len(trained):
        raise ModelError(f"training starts from {len(start)} tensors, not {len(trained)}", hint)
    for index, (parameter, value) in enumerate(zip(trained, start, strict=True)):
        if value.shape != parameter.shape:
            shapes = f"{tuple(value.shape)} at {index}, not {tuple(parameter.shape)}"
            raise ModelError(f"training starts from a tensor of shape {shapes}", hint)


@torch.no_grad()
def begin_at(trained: Sequence[nn.Parameter], start: Sequence[Tensor]) -> None:
    """Give what is trained the values that `check_start` let pass."""
    for parameter, value in zip(trained, start, strict=True):
        parameter.copy_(value)
