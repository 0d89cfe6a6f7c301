"""Attribution word for word: a full forward and backward for each layer and step.

The fast methods must agree with it. Called by the tests of attribution only.
"""

from typing import Any

import torch
from torch import Tensor

from adapt.loki.definitions import Definition


def plain_scores(model: Any, prompt: list[int], definition: Definition, steps: int) -> Tensor:
    """Signed scores [layers, d_model] of one prompt, in the model's own type."""
    ids = torch.tensor([prompt])
    with torch.no_grad():
        token = model(ids).logits[0, -1].argmax()
    return torch.stack(
        [_of_layer(model, layer, ids, token, definition, steps) for layer in model.model.layers]
    )


def _of_layer(
    model: Any, layer: Any, ids: Tensor, token: Tensor, definition: Definition, steps: int
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
