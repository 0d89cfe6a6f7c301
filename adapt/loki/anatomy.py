"""Where the parts of a causal language model are, found by its modules and not by its class.

Any transformers model whose layers hold `self_attn` and `mlp.down_proj` will do. It names modules
and refuses models that lack them; it runs nothing. Called by adapt.loki.prefill,
adapt.loki.attribution and adapt.loki.rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from store.errors import ModelError

HINT = "supported: causal language models with dense gate/up/down MLPs, such as Qwen2 or Llama"

_WANTED = ("model.embed_tokens", "model.norm", "model.layers", "lm_head")
_PARTS = ("self_attn", "mlp", "mlp.down_proj")


def decoder_layers(model: nn.Module) -> list[nn.Module]:
    """The decoder layers of a supported model. Raises ModelError naming what is missing."""
    for name in _WANTED:
        _require(model, name, type(model).__name__)
    layers = list(model.get_submodule("model.layers").children())
    if not layers:
        raise ModelError(f"{type(model).__name__} has no layers", HINT)
    for index, layer in enumerate(layers):
        for part in _PARTS:
            _require(layer, part, f"layer {index} of {type(model).__name__}")
    attention = getattr(getattr(model, "config", None), "_attn_implementation", None)
    if attention not in ("sdpa", "eager"):
        raise ModelError(
            f"attention implementation {attention!r} takes no mask per row",
            'load the model with attn_implementation="sdpa"',
        )
    return layers


def down_weight(layer: nn.Module) -> Tensor:
    """W_down of a decoder layer, [d_model, d_ff]: its type and device are those of the layer.

    Raises ModelError where it is no plain matrix (quantised, or wrapped by an adapter).
    """
    weight = getattr(layer.get_submodule("mlp.down_proj"), "weight", None)
    if not isinstance(weight, Tensor) or weight.dim() != 2 or not weight.is_floating_point():
        raise ModelError(
            "mlp.down_proj holds no floating-point matrix", "load the model itself, not quantised"
        )
    return weight


def _require(module: nn.Module, name: str, owner: str) -> None:
    try:
        module.get_submodule(name)
    except AttributeError:
        raise ModelError(f"{owner} has no module {name}", HINT) from None


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """No weight of the model takes a gradient inside; afterwards those that did do again."""
    flags = {parameter: parameter.requires_grad for parameter in model.parameters()}
    for parameter in flags:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, flag in flags.items():
            parameter.requires_grad_(flag)
