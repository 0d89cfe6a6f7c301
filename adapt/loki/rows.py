"""The selected rows of a model as trainable parameters, and as a PEFT adapter on disk.

Rows S of W_down moved by D are the LoRA with lora_B = one-hot(S), lora_A = D and alpha = r. While
rows are installed the model computes W x + scatter(D x); nothing else can change. It runs no
optimiser. Called by adapt.loki.implant; the adapter it writes is read by PEFT, vLLM and
adapt.compose.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.nn import functional

from adapt.loki.anatomy import decoder_layers
from adapt.loki.selection import Mask
from store.errors import ModelError
from store.files import write_atomic

PREFIX = "base_model.model.model.layers"


class RowLinear(nn.Module):
    """A frozen linear layer whose output rows `rows` are moved by `delta` [k, d_ff], fp32."""

    rows: Tensor

    def __init__(self, linear: nn.Module, rows: Sequence[int], delta: Tensor) -> None:
        super().__init__()
        self.linear = linear
        self.register_buffer("rows", torch.tensor(rows, device=delta.device), persistent=False)
        self.delta = nn.Parameter(delta)

    def forward(self, x: Tensor) -> Tensor:
        """W x with the moved rows. x: [..., d_ff] -> [..., d_model]."""
        moved = functional.linear(x, self.delta.to(x.dtype))
        return self.linear(x).index_add(-1, self.rows, moved)


@contextmanager
def installed_rows(
    model: nn.Module, mask: Mask, start: Sequence[Tensor] | None = None
) -> Iterator[list[nn.Parameter]]:
    """Freeze the model and give the moving rows, [k, d_ff] per layer, from `start` or zero.

    Afterwards the model is what it was. Raises ModelError when the mask is not of this model.
    """
    layers = decoder_layers(model)
    width = model.get_parameter("model.norm.weight").shape[0]
    if (len(layers), width) != (len(mask.rows), mask.d_model):
        raise ModelError(
            f"the mask is for {len(mask.rows)} layers of {mask.d_model} rows, the model has "
            f"{len(layers)} of {width}",
            "run attribution on this model",
        )
    mlps = [layer.get_submodule("mlp") for layer in layers]
    originals = [mlp.get_submodule("down_proj") for mlp in mlps]
    frozen = {parameter: parameter.requires_grad for parameter in model.parameters()}
    for parameter in frozen:
        parameter.requires_grad_(False)
    deltas = []
    for index, (mlp, linear) in enumerate(zip(mlps, originals, strict=True)):
        weight = linear.get_parameter("weight")
        delta = torch.zeros(mask.rank, weight.shape[1], device=weight.device)
        if start is not None:
            if start[index].shape != delta.shape:
                raise ModelError(
                    f"the rows of layer {index} have shape {tuple(start[index].shape)}, "
                    f"not {tuple(delta.shape)}",
                    "start from an adapter of this base model",
                )
            delta.copy_(start[index])
        wrapped = RowLinear(linear, mask.rows[index], delta)
        mlp.down_proj = wrapped
        deltas.append(wrapped.delta)
    try:
        yield deltas
    finally:
        for mlp, linear in zip(mlps, originals, strict=True):
            mlp.down_proj = linear
        for parameter, flag in frozen.items():
            parameter.requires_grad_(flag)


def save_rows(deltas: Sequence[Tensor], mask: Mask, out_dir: Path) -> None:
    """Write a PEFT LoRA directory. The same rows give the same bytes; the config comes last."""
    tensors = {}
    for index, (delta, rows) in enumerate(zip(deltas, mask.rows, strict=True)):
        name = f"{PREFIX}.{index}.mlp.down_proj"
        tensors[f"{name}.lora_A.weight"] = delta.detach().float().cpu().contiguous()
        tensors[f"{name}.lora_B.weight"] = _one_hot(rows, mask.d_model)
    write_atomic(out_dir / "adapter_model.safetensors", to_bytes(tensors, {"format": "pt"}))
    config = lora_config(mask.rank, ["down_proj"], mask.base_digest)
    write_atomic(out_dir / "adapter_config.json", config)


def load_rows(adapter_dir: Path, mask: Mask) -> list[Tensor]:
    """The moved rows of an adapter that `save_rows` wrote with the same mask.

    Raises ModelError naming the tensor when it moves anything but the mask's rows.
    """
    hint = "start from an update of the same base model and mask"
    path = adapter_dir / "adapter_model.safetensors"
    try:
        tensors = load_file(path)
        config = json.loads((adapter_dir / "adapter_config.json").read_text())
        base, r, alpha = (config[key] for key in ("base_model_name_or_path", "r", "lora_alpha"))
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(f"the adapter {adapter_dir} cannot be read: {error}", hint) from error
    if base != mask.base_digest or r != alpha:
        raise ModelError(f"the adapter {adapter_dir} is not an update of {mask.base_digest}", hint)
    deltas = []
    for index, rows in enumerate(mask.rows):
        name = f"{PREFIX}.{index}.mlp.down_proj"
        delta = tensors.pop(f"{name}.lora_A.weight", None)
        selector = tensors.pop(f"{name}.lora_B.weight", None)
        if delta is None or selector is None:
            raise ModelError(f"{path} has no {name}", hint)
        if not torch.equal(selector, _one_hot(rows, mask.d_model)):
            raise ModelError(f"{name}.lora_B.weight in {path} selects other rows", hint)
        deltas.append(delta)
    if tensors:
        raise ModelError(f"{path} holds {min(tensors)}, which is no selected row", hint)
    return deltas


def lora_config(
    rank: int, targets: list[str], base: str, ranks: dict[str, int] | None = None
) -> str:
    """`adapter_config.json` of a LoRA with scaling 1 everywhere; `ranks` lists the exceptions.

    The base model is named by its digest: a path would tie the bytes to one machine.
    """
    config = {
        "alpha_pattern": ranks or {},
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": rank,
        "rank_pattern": ranks or {},
        "target_modules": targets,
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }
    return json.dumps(config, indent=2, sort_keys=True) + "\n"


def _one_hot(rows: Sequence[int], d_model: int) -> Tensor:
    selector = torch.zeros(d_model, len(rows))
    selector[list(rows), range(len(rows))] = 1.0
    return selector
