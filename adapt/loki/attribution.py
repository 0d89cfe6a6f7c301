"""Scores of the rows of every `down_proj`, by an exact fast method, counted as they come.

Definition `release` (LoKI's first published code): at the last token, each layer's down_proj
output y is replaced by (i/m) y for i = 0..m-1; the target is the softmax probability of the
model's own argmax token; a row's score is the sum of gradient x y / m. It selects nothing.
Called by adapt.stages; the plain form that it must agree with is in the tests.

Why it is fast: the model is causal, so changing the last token's layer output leaves all other
positions alone. One prefill keeps their keys and values; then one sweep carries m rows per layer,
joining after that layer, each seeing the prefix and itself; the rows are independent, so one
backward of the summed target gives every gradient.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from adapt.loki.anatomy import HINT, decoder_layers
from adapt.loki.selection import SelectionCounts, rows_per_layer
from store.errors import ConfigError, ModelError

DEFINITION = "release"
_BATCH_TOKENS = 2048


@dataclass
class _Prefill:
    """What the last token's sweep needs of one batch of prompts. N prompts, T positions."""

    keys: list[Tensor]
    """Per layer [N, heads, T, head_dim]; position lengths[n] - 1 is the last token's own."""
    values: list[Tensor]
    residuals: list[Tensor]
    """Per layer [N, d_model]: the last token before the MLP is added."""
    outputs: list[Tensor]
    """Per layer [N, d_model]: the last token's down_proj output."""
    targets: Tensor
    """[N]: the model's own next token."""


class _SharedPrefix:
    """A cache stand-in for one layer: hands attention the prefix followed by the rows."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys, values

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        return torch.cat((self.keys, keys), 2), torch.cat((self.values, values), 2)


def attribute(
    model: nn.Module,
    prompts_token_ids: Sequence[Sequence[int]],
    quota_percent: float,
    m: int = 7,
    progress: Callable[[int, int], None] | None = None,
) -> SelectionCounts:
    """Count how often each row is among the quota's lowest (and highest) scores of its layer.

    `model` is a causal LM of the Llama family in evaluation mode; every prompt is scored at its
    last token. `progress(done, total)` is called after each batch. Scores are never kept. Raises
    ModelError for a model this cannot be done on, ConfigError for empty prompts.
    """
    layers = decoder_layers(model)
    if not prompts_token_ids or not all(prompts_token_ids):
        raise ConfigError("attribution needs prompts of at least one token", "add a corpus")
    d_model = model.get_parameter("model.norm.weight").shape[0]
    k = rows_per_layer(d_model, quota_percent)
    lowest = torch.zeros(len(layers), d_model, dtype=torch.int32)
    highest = torch.zeros_like(lowest)
    done = 0
    for batch in _batches(prompts_token_ids):
        scores = score_batch(model, [prompts_token_ids[i] for i in batch], m).cpu()
        if not bool(torch.isfinite(scores).all()):
            raise ModelError(f"the scores of prompts {batch} are not finite", "check the weights")
        for table, values in ((lowest, scores), (highest, -scores)):
            # A stable sort gives equal scores to the lower index, on every machine.
            chosen = values.sort(dim=-1, stable=True).indices[..., :k]
            hits = torch.zeros_like(scores, dtype=torch.int32).scatter_(-1, chosen, 1)
            table += hits.sum(0, dtype=torch.int32)
        done += len(batch)
        if progress:
            progress(done, len(prompts_token_ids))
    return SelectionCounts(
        lowest=lowest.numpy().astype(np.int32),
        highest=highest.numpy().astype(np.int32),
        samples=done,
        quota=quota_percent,
        definition=DEFINITION,
    )


def score_batch(model: nn.Module, prompts: Sequence[Sequence[int]], m: int = 7) -> Tensor:
    """Signed scores [prompts, layers, d_model] in fp32 of a batch of any lengths."""
    device = model.get_parameter("model.norm.weight").device
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    ids = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.long, device=device)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt, device=device)
    prefill = _prefill(model, ids, lengths)
    with torch.enable_grad():
        total, starts = _sweep(model, prefill, lengths, m)
        gradients = torch.autograd.grad(total, starts)
    sums = [
        gradient.float().sum(1) * output.float() / m
        for gradient, output in zip(gradients, prefill.outputs, strict=True)
    ]
    return torch.stack(sums, 1)


def _batches(prompts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Indices of prompts of similar length, at most a budget of padded tokens each."""
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    batch: list[int] = []
    for index in order:
        if batch and len(prompts[index]) * (len(batch) + 1) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    yield batch


@torch.no_grad()
def _prefill(model: nn.Module, ids: Tensor, lengths: Tensor) -> _Prefill:
    """One forward. Padding is on the right, where causal attention never looks."""
    layers = decoder_layers(model)
    # Built without the config, so that sliding-window layers keep every position.
    cache = DynamicCache()
    with _last_token_taps(layers, lengths - 1) as (residuals, outputs, ends):
        hidden = model.get_submodule("model")(
            input_ids=ids, past_key_values=cache, use_cache=True
        ).last_hidden_state
    for index, (residual, output, end) in enumerate(zip(residuals, outputs, ends, strict=True)):
        if not torch.allclose(residual + output, end, rtol=1e-2, atol=1e-2):
            raise ModelError(
                f"layer {index} of {type(model).__name__} does more after its down_proj than add "
                "the residual",
                HINT,
            )
    last = hidden[torch.arange(len(ids), device=ids.device), lengths - 1]
    targets = model.get_submodule("lm_head")(last).argmax(-1)
    keys, values = [], []
    for layer in cache.layers:
        # Layers with another memory than keys and values (linear attention) have neither.
        pair = getattr(layer, "keys", None), getattr(layer, "values", None)
        if not (isinstance(pair[0], Tensor) and isinstance(pair[1], Tensor)):
            raise ModelError(f"{type(model).__name__} keeps no keys and values", HINT)
        keys.append(pair[0])
        values.append(pair[1])
    return _Prefill(keys, values, residuals, outputs, targets)


@contextmanager
def _last_token_taps(
    layers: list[nn.Module], last: Tensor
) -> Iterator[tuple[list[Tensor], list[Tensor], list[Tensor]]]:
    """Collect per layer, at each prompt's last token: MLP residual, down_proj output, output."""
    taken: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    rows = torch.arange(len(last), device=last.device)
    hooks = []
    for layer in layers:
        norm = layer.get_submodule("post_attention_layernorm")
        hooks += [
            norm.register_forward_pre_hook(lambda _, args: taken[0].append(args[0][rows, last])),
            layer.get_submodule("mlp.down_proj").register_forward_hook(
                lambda _, __, out: taken[1].append(out[rows, last])
            ),
            layer.register_forward_hook(
                lambda _, __, out: taken[2].append(
                    (out if isinstance(out, Tensor) else out[0])[rows, last]
                )
            ),
        ]
    try:
        yield taken
    finally:
        for hook in hooks:
            hook.remove()


def _sweep(
    model: nn.Module, prefill: _Prefill, lengths: Tensor, m: int
) -> tuple[Tensor, list[Tensor]]:
    """Sum of the target probabilities of all rows, and per layer the scaled outputs [N, m, d]."""
    layers = decoder_layers(model)
    alphas = torch.arange(m, device=lengths.device) / m
    position = (lengths - 1)[:, None]
    starts: list[Tensor] = []
    rows: Tensor | None = None
    for index, layer in enumerate(layers):
        if rows is not None:
            places = position.expand(-1, rows.shape[1])
            answer = layer(
                rows,
                attention_mask=_row_mask(layer, model, prefill.keys[index], lengths, rows),
                position_ids=places,
                position_embeddings=model.get_submodule("model.rotary_emb")(rows, places),
                past_key_values=_SharedPrefix(prefill.keys[index], prefill.values[index]),
            )
            rows = answer if isinstance(answer, Tensor) else answer[0]
        output = prefill.outputs[index][:, None, :]
        start = (output * alphas[:, None].to(output.dtype)).requires_grad_()
        starts.append(start)
        joining = prefill.residuals[index][:, None, :] + start
        rows = joining if rows is None else torch.cat((rows, joining), 1)
    assert rows is not None
    logits = model.get_submodule("lm_head")(model.get_submodule("model.norm")(rows))
    logs = logits.float().log_softmax(-1)
    target = prefill.targets[:, None, None].expand(-1, rows.shape[1], 1)
    return logs.gather(-1, target).exp().sum(), starts


def _row_mask(
    layer: nn.Module, model: nn.Module, keys: Tensor, lengths: Tensor, rows: Tensor
) -> Tensor:
    """Additive mask [N, 1, R, T + R]: every row sees its prompt's earlier tokens and itself."""
    attention = layer.get_submodule("self_attn")
    # Qwen tells the window by layer; Mistral has one for all, in its configuration.
    window = getattr(attention, "sliding_window", None)
    if not hasattr(attention, "sliding_window"):
        window = getattr(getattr(model, "config", None), "sliding_window", None)
    places = torch.arange(keys.shape[2], device=keys.device)[None]
    seen = places < (lengths - 1)[:, None]
    if window is not None:
        seen = seen & (places > (lengths - 1)[:, None] - window)
    count = rows.shape[1]
    itself = torch.eye(count, dtype=torch.bool, device=keys.device)
    allowed = torch.cat(
        (
            seen[:, None, :].expand(-1, count, -1),
            itself[None].expand(len(rows), -1, -1),
        ),
        -1,
    )
    mask = torch.zeros(allowed.shape, dtype=rows.dtype, device=rows.device)
    return mask.masked_fill(~allowed, torch.finfo(rows.dtype).min)[:, None]
