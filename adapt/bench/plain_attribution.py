"""Attribution word for word: a full forward and backward for each layer and step.

The slow side of `perennial bench kva`, and what the tests hold the fast methods against. It shares
nothing with them but the definitions' points and weights. Called by adapt.bench.kva and the tests.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from adapt.loki.definitions import Definition
from store.errors import ConfigError


def plain_scores(model: Any, prompt: Sequence[int], definition: Definition, steps: int) -> Tensor:
    """Signed scores [layers, d_model] of one prompt, in the model's own type."""
    ids = torch.tensor([prompt])
    token = _token(model, ids)
    return torch.stack(
        [_of_layer(model, layer, ids, token, definition, steps) for layer in model.model.layers]
    )


def captum_scores(model: Any, prompt: Sequence[int], steps: int) -> Tensor:
    """The same of definition `captum` by Captum's own LayerIntegratedGradients.

    Raises ConfigError where Captum is not installed.
    """
    try:
        from captum.attr import LayerIntegratedGradients
    except ImportError as error:
        raise ConfigError(
            "Captum is not installed, which this compares with", "pip install captum==0.9.0"
        ) from error
    ids = torch.tensor([prompt])
    token = _token(model, ids)
    scores = []
    for layer in model.model.layers:
        method = LayerIntegratedGradients(
            lambda x: model(x).logits[:, -1].softmax(-1), layer.mlp.down_proj
        )
        given: Any = method.attribute(
            ids,
            baselines=torch.zeros_like(ids),
            target=token,
            n_steps=steps,
            method="riemann_trapezoid",
        )
        scores.append(given[0, -1].detach())
    return torch.stack(scores)


def _token(model: Any, ids: Tensor) -> int:
    with torch.no_grad():
        return int(model(ids).logits[0, -1].argmax())


def _of_layer(
    model: Any, layer: Any, ids: Tensor, token: int, definition: Definition, steps: int
) -> Tensor:
    own = _output(model, layer, ids)
    start = torch.zeros_like(own)
    if definition.positions == "all":
        start = _output(model, layer, torch.zeros_like(ids))
    total = torch.zeros_like(own[0, -1])
    for point, weight in zip(definition.points(steps), definition.weights(steps), strict=True):
        moved = start + point * (own - start)
        if definition.positions == "last":
            moved = torch.cat((own[:, :-1], moved[:, -1:]), 1)
        moved.requires_grad_()
        hook = layer.mlp.down_proj.register_forward_hook(lambda *_, moved=moved: moved)
        logits = model(ids).logits[0, -1]
        hook.remove()
        target = logits if definition.target == "logit" else logits.softmax(-1)
        (gradient,) = torch.autograd.grad(target[token], moved)
        total += weight * gradient[0, -1]
    return total * (own - start)[0, -1] if definition.times_activation else total


def _output(model: Any, layer: Any, ids: Tensor) -> Tensor:
    """What the layer's down_proj gives for a prompt, [1, T, d_model]."""
    taken: list[Tensor] = []
    hook = layer.mlp.down_proj.register_forward_hook(lambda *args: taken.append(args[-1].detach()))
    with torch.no_grad():
        model(ids)
    hook.remove()
    return taken[0]
