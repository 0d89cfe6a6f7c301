"""One forward over a batch of prompts, and what every layer was given and made in it.

It scores nothing; adapt.loki.continuation says how to go on from what it records. Called by
adapt.loki.last_token and adapt.loki.all_positions.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from adapt.loki.anatomy import HINT, decoder_layers, down_weight
from adapt.loki.continuation import LayerPass, head
from store.errors import ModelError


@dataclass
class Prefill:
    """One forward of N prompts."""

    last: Tensor
    """[N]: the place of each prompt's last token."""
    layers: list[LayerPass]
    targets: Tensor
    """[N]: the model's own likeliest next token."""


@dataclass
class _Seen:
    """What the hooks of one layer collect."""

    hidden: Tensor | None = None
    attention: Tensor | None = None
    output: Tensor | None = None
    answers: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)


@torch.no_grad()
def prefill(model: nn.Module, prompts: Sequence[Sequence[int]], *, last_only: bool) -> Prefill:
    """One forward of prompts of any lengths. ModelError for a model that cannot be continued.

    Padding is on the right, where causal attention never looks. With `last_only` the inputs and
    outputs of layers are kept at each prompt's last token alone.
    """
    layers = decoder_layers(model)
    device = down_weight(layers[0]).device
    last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=device)
    ids = torch.zeros(len(prompts), int(last.max()) + 1, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt)
    rows = torch.arange(len(prompts), device=device)

    def keep(tensor: Tensor) -> Tensor:
        return tensor[rows, last][:, None] if last_only else tensor

    # Built without the config, so that sliding-window layers keep every position.
    cache = DynamicCache()
    ends: list[Tensor] = []

    def at_end(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        ends.append(args[0][rows, last])

    with ExitStack() as hooks:
        seen = [_watch(layer, keep, hooks) for layer in layers]
        norm = model.get_submodule("model.norm")
        handle = norm.register_forward_pre_hook(at_end)
        hooks.callback(handle.remove)
        model.get_submodule("model")(
            input_ids=ids.to(device), past_key_values=cache, use_cache=True
        )
    targets = head(model, ends[-1][:, None])[:, 0].argmax(-1)
    parts = [_layer_pass(i, s, c) for i, (s, c) in enumerate(zip(seen, cache.layers, strict=True))]
    return Prefill(last, parts, targets)


@torch.no_grad()
def down_outputs(model: nn.Module, ids: Tensor) -> list[Tensor]:
    """Per layer the down_proj's output [B, T, d_model] of a plain forward of `ids` [B, T]."""
    outputs: list[Tensor] = []

    def take(_: nn.Module, __: Any, answer: Tensor) -> None:
        outputs.append(answer)

    with ExitStack() as hooks:
        for layer in decoder_layers(model):
            handle = layer.get_submodule("mlp.down_proj").register_forward_hook(take)
            hooks.callback(handle.remove)
        model.get_submodule("model")(input_ids=ids, use_cache=False)
    return outputs


def _layer_pass(index: int, seen: _Seen, cached: Any) -> LayerPass:
    # Layers with another memory than keys and values (linear attention) have neither.
    parts = {
        "keys": getattr(cached, "keys", None),
        "values": getattr(cached, "values", None),
        **{name: getattr(seen, name) for name in ("hidden", "attention", "output")},
    }
    tensors = {name: part for name, part in parts.items() if isinstance(part, Tensor)}
    if missing := sorted(parts.keys() - tensors.keys()):
        raise ModelError(f"layer {index} gives no {', '.join(missing)}", HINT)
    mask = seen.arguments.get("attention_mask")
    if mask is not None:
        # No padding is masked, so it is the same for all prompts.
        mask = mask[0, 0] if mask.dtype == torch.bool else mask[0, 0] == 0
    return LayerPass(**tensors, mask=mask, arguments=seen.arguments, answers=seen.answers)


def _watch(layer: nn.Module, keep: Callable[[Tensor], Tensor], hooks: ExitStack) -> _Seen:
    """Record one layer's forward for as long as `hooks` is open."""
    seen = _Seen()
    projected: list[Tensor] = []

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if len(args) != 1 or "past_key_values" not in kwargs:
            raise ModelError(f"{type(layer).__name__} takes more or less than hidden states", HINT)
        seen.hidden, seen.arguments = keep(args[0]), kwargs

    def attended(_: nn.Module, __: Any, answer: Any) -> None:
        seen.answers = 0 if isinstance(answer, Tensor) else len(answer)
        seen.attention = keep(answer if isinstance(answer, Tensor) else answer[0])

    def down(_: nn.Module, __: Any, answer: Tensor) -> None:
        projected[:] = [answer]
        seen.output = keep(answer)

    def mixed(_: nn.Module, __: Any, answer: Any) -> None:
        # `join` puts the scaled output in place of the whole MLP's.
        if not projected or not (answer is projected[0] or torch.equal(answer, projected[0])):
            name = type(layer).__name__
            raise ModelError(f"an MLP of {name} gives something else than its down_proj", HINT)
        projected.clear()

    for handle in (
        layer.register_forward_pre_hook(before, with_kwargs=True),
        layer.get_submodule("self_attn").register_forward_hook(attended),
        layer.get_submodule("mlp.down_proj").register_forward_hook(down),
        layer.get_submodule("mlp").register_forward_hook(mixed),
    ):
        hooks.callback(handle.remove)
    return seen
