"""The selected rows of a model as a PEFT adapter on disk.

Rows S of W_down moved by D are the LoRA with lora_B = one-hot(S), lora_A = D and alpha = r; LoKI*,
which moves them by A B, is the LoRA with lora_A = B and A as the rows S of lora_B, all others zero.
It trains nothing. Called by adapt.loki.implant, adapt.compose and adapt.skill; PEFT, vLLM and
adapt.compose read what it writes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from adapt.loki.selection import Mask
from store.errors import ModelError
from store.files import write_atomic

PREFIX = "base_model.model."
_HINT = "start from an update of the same base model and mask"


def save_rows(
    trained: Sequence[Tensor], mask: Mask, out_dir: Path, rank: int | None = None
) -> None:
    """Write a PEFT LoRA directory. The same rows give the same bytes; the config comes last.

    `trained` has, for each layer with k rows, [k, d_ff]; with `rank` r (LoKI*) [r, d_ff] and
    [k, r]. A layer without rows is no target of the adapter.
    """
    tensors, left = {}, list(trained)
    for module, rows in _modules(mask).items():
        lora_b = _one_hot(rows, mask.d_model)
        tensors[f"{PREFIX}{module}.lora_A.weight"] = _plain(left.pop(0))
        if rank is not None:
            lora_b = torch.zeros(mask.d_model, rank)
            lora_b[list(rows)] = _plain(left.pop(0))
        tensors[f"{PREFIX}{module}.lora_B.weight"] = lora_b
    assert not left, f"{len(left)} tensors are of no layer"
    write_atomic(out_dir / "adapter_model.safetensors", to_bytes(tensors, {"format": "pt"}))
    write_atomic(out_dir / "adapter_config.json", _config(mask, rank))


def load_rows(adapter_dir: Path, mask: Mask, rank: int | None = None) -> list[Tensor]:
    """What an adapter that `save_rows` wrote with the same mask and rank was given, in fp32.

    Raises ModelError naming the tensor when it moves anything but the mask's rows, or as another
    rank would.
    """
    path = adapter_dir / "adapter_model.safetensors"
    try:
        tensors = load_file(path)
        config = json.loads((adapter_dir / "adapter_config.json").read_text())
        base = config["base_model_name_or_path"]
        scales = [config[key] for key in ("lora_alpha", "alpha_pattern")]
        ranks = [config[key] for key in ("r", "rank_pattern")]
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(f"the adapter {adapter_dir} cannot be read: {error}", _HINT) from error
    if base != mask.base_digest or ranks != scales:
        raise ModelError(f"the adapter {adapter_dir} is not an update of {mask.base_digest}", _HINT)
    found: list[Tensor] = []
    for module, rows in _modules(mask).items():
        name = f"{PREFIX}{module}"
        lora_a = tensors.pop(f"{name}.lora_A.weight", None)
        lora_b = tensors.pop(f"{name}.lora_B.weight", None)
        if lora_a is None or lora_b is None:
            raise ModelError(f"{path} has no {name}", _HINT)
        found += _parts(f"{name}.lora_B.weight in {path}", lora_a, lora_b, rows, mask, rank)
    if tensors:
        raise ModelError(f"{path} holds {min(tensors)}, which is no selected row", _HINT)
    return found


def _parts(
    name: str, lora_a: Tensor, lora_b: Tensor, rows: Sequence[int], mask: Mask, rank: int | None
) -> list[Tensor]:
    """The trained tensors of one layer; `name` says in an error which lora_B it is."""
    columns = len(rows) if rank is None else rank
    if lora_b.shape != (mask.d_model, columns) or lora_a.shape[0] != columns:
        raise ModelError(
            f"{name} has shape {tuple(lora_b.shape)}, not {(mask.d_model, columns)}", _HINT
        )
    chosen = torch.tensor(rows)
    if rank is None:
        fits = torch.equal(lora_b, _one_hot(rows, mask.d_model))
    else:
        fits = not lora_b.index_fill(0, chosen, 0).any()
    if not fits:
        raise ModelError(f"{name} selects other rows", _HINT)
    return [lora_a] if rank is None else [lora_a, lora_b[chosen]]


def changes_of_tensors(tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Tensors under PEFT's names as module path -> A [r, in] and B [out, r], of scaling 1."""
    return {
        name.removeprefix(PREFIX).removesuffix(".lora_A.weight"): (
            tensors[name],
            tensors[name.replace(".lora_A.", ".lora_B.")],
        )
        for name in tensors
        if ".lora_A." in name
    }


def lora_config(
    rank: int, targets: list[str], base: str, ranks: dict[str, int] | None = None
) -> str:
    """`adapter_config.json` of a LoRA with scaling 1 everywhere; `ranks` lists the exceptions.

    The base model is named by its digest: a path would tie the bytes to one machine.
    """
    config: dict[str, Any] = {
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


def _config(mask: Mask, rank: int | None) -> str:
    """The largest rank is `r`, which engines reserve for; smaller ones are the exceptions."""
    modules = _modules(mask)
    # Where a layer moves nothing, the bare name "down_proj" would make readers miss its tensors.
    targets = ["down_proj"] if len(modules) == len(mask.rows) else list(modules)
    if rank is not None:
        return lora_config(rank, targets, mask.base_digest)
    ranks = {module: len(rows) for module, rows in modules.items() if len(rows) != mask.rank}
    return lora_config(mask.rank, targets, mask.base_digest, ranks)


def _modules(mask: Mask) -> dict[str, tuple[int, ...]]:
    """Module path -> rows, of the layers that have any."""
    return {
        f"model.layers.{layer}.mlp.down_proj": rows for layer, rows in enumerate(mask.rows) if rows
    }


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().float().cpu().contiguous()


def _one_hot(rows: Sequence[int], d_model: int) -> Tensor:
    selector = torch.zeros(d_model, len(rows))
    selector[list(rows), range(len(rows))] = 1.0
    return selector
