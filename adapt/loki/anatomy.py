"""Where the parts of a causal language model are, for the families that LoKI works on.

Names modules and refuses models that lack them; it runs nothing. Called by adapt.loki.attribution
and adapt.loki.rows.
"""

from torch import nn

from store.errors import ModelError

HINT = "supported: causal language models built like Qwen2, Qwen3, Llama or Mistral"

_PARTS = ("self_attn", "mlp", "input_layernorm", "post_attention_layernorm")


def decoder_layers(model: nn.Module) -> list[nn.Module]:
    """The decoder layers of a supported model. Raises ModelError naming what is missing."""
    wanted = ["model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head", "model.layers.0"]
    wanted += [f"model.layers.0.{part}" for part in (*_PARTS, "mlp.down_proj")]
    for name in wanted:
        try:
            model.get_submodule(name)
        except AttributeError:
            raise ModelError(f"{type(model).__name__} has no module {name}", HINT) from None
    config = getattr(model, "config", None)
    attention = getattr(config, "_attn_implementation", None)
    if attention not in ("sdpa", "eager"):
        raise ModelError(
            f"attention implementation {attention!r} takes no mask per row",
            'load the model with attn_implementation="sdpa"',
        )
    return list(model.get_submodule("model.layers").children())
