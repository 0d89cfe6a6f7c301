"""How to go on from the middle of a forward, with the model's own modules.

`call` runs a layer on other rows, `join` only a layer's end with another output of its down_proj,
`head` the model's logits: nothing about an architecture is written down a second time. It keeps
nothing and scores nothing. Called by adapt.loki.prefill, which records the forward that is gone on
from, adapt.loki.last_token and adapt.loki.all_positions.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPast

from adapt.loki.anatomy import decoder_layers
from adapt.loki.definitions import Definition


class KeyStore(Protocol):
    """What attention needs of a cache."""

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Take the new keys and values, give all that are to be attended to."""
        ...


@dataclass
class LayerPass:
    """What one layer was given and made. N prompts, T positions."""

    hidden: Tensor
    """[N, T, d_model] into the layer; [N, 1, d_model] when only the last tokens are kept, as are
    then the next two."""
    attention: Tensor
    """Output of `self_attn`."""
    output: Tensor
    """Output of `mlp.down_proj`."""
    keys: Tensor
    """[N, heads, T, head_dim]."""
    values: Tensor
    mask: Tensor | None
    """[T, T] bool: which positions a position sees; None is all up to itself."""
    arguments: dict[str, Any]
    """What else the layer was called with, for positions 0..T-1 of one prompt."""
    answers: int
    """How many things `self_attn` returns; 0 when it is the one tensor."""


class GivenKeys:
    """A cache stand-in for one layer: attention sees these keys, then the rows' own."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys, values

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Called by the layer's attention."""
        return torch.cat((self.keys, keys), 2), torch.cat((self.values, values), 2)


class _Given(nn.Module):
    """Stands in for a module whose answer is known."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, *_: Any, **__: Any) -> Any:
        return self.answer


def call(
    layer: nn.Module,
    part: LayerPass,
    rows: Tensor,
    *,
    at: Tensor | slice,
    mask: Tensor | None,
    keys: KeyStore,
) -> Tensor:
    """The layer on `rows` [B, S, d_model], which stand at positions `at`.

    `at` is a range of S positions, or [B]: the one position of all rows of each entry. `mask` is
    additive, [B or 1, 1, S, keys], or None where the layer's own was.
    """
    arguments = {**part.arguments, "attention_mask": mask, "past_key_values": keys}
    for name in ("position_embeddings", "position_ids"):
        if name in arguments:
            arguments[name] = _positions(arguments[name], at)
    return _tensor(layer(rows, **arguments))


def join(
    layer: nn.Module, part: LayerPass, hidden: Tensor, attention: Tensor, output: Tensor
) -> Tensor:
    """What the layer gives for [B, S, d_model] of its input, its attention's and its MLP's output.

    Only its norms and sums run.
    """
    answer = (attention, *(None,) * (part.answers - 1)) if part.answers else attention
    with _replaced(layer, "self_attn", answer), _replaced(layer, "mlp", output):
        return _tensor(layer(hidden, **part.arguments))


def head(model: nn.Module, hidden: Tensor) -> Tensor:
    """Logits [B, S, vocabulary] of the last layer's output: norm, head and what the model adds."""
    normed = model.get_submodule("model.norm")(hidden)
    with _replaced(model, "model", BaseModelOutputWithPast(last_hidden_state=normed)):
        return model(use_cache=False).logits


def target_sum(model: nn.Module, hidden: Tensor, targets: Tensor, definition: Definition) -> Tensor:
    """Sum over all rows [N, S, d_model] of the target of each prompt's own next token [N].

    Rows do not see each other, so one backward of the sum gives the gradient of each.
    """
    logits = head(model, hidden).to(wide(hidden))
    if definition.target == "probability":
        logits = logits.log_softmax(-1)
    chosen = logits.gather(-1, targets[:, None, None].expand(-1, hidden.shape[1], 1))
    return chosen.exp().sum() if definition.target == "probability" else chosen.sum()


def wide(tensor: Tensor) -> torch.dtype:
    """The type to add up in: float64 stays what it is, all others are summed in float32."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where a row may look and the type's least number elsewhere, for eager and sdpa alike."""
    mask = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
    return mask.masked_fill_(~allowed, torch.finfo(dtype).min)


def visible(part: LayerPass, last: Tensor) -> Tensor:
    """[N, T] bool: the positions before `last` [N] that it sees in this layer."""
    places = torch.arange(part.keys.shape[2], device=last.device)
    before = places < last[:, None]
    return before if part.mask is None else before & part.mask[last]


def own_layers(model: nn.Module, parts: Sequence[LayerPass]) -> list[tuple[nn.Module, LayerPass]]:
    """Each layer with its record."""
    return list(zip(decoder_layers(model), parts, strict=True))


def _positions(value: Any, at: Tensor | slice) -> Any:
    if isinstance(value, Tensor):
        return value[0, at][:, None] if isinstance(at, Tensor) else value[:1, at]
    if isinstance(value, tuple | list):
        return tuple(_positions(item, at) for item in value)
    return value


def _tensor(answer: Any) -> Tensor:
    return answer if isinstance(answer, Tensor) else answer[0]


@contextmanager
def _replaced(owner: nn.Module, name: str, answer: Any) -> Iterator[None]:
    """Let a part of a module answer this."""
    own = owner.get_submodule(name)
    setattr(owner, name, _Given(answer))
    try:
        yield
    finally:
        setattr(owner, name, own)
