"""Adapters side by side as one: candidate = [LoKI rows ; lambda x skill vector].

Per module, the A matrices are stacked and the B matrices put side by side, with each part's scale
folded into its B: the sum of the parts' changes, exactly. Nothing is re-approximated and nothing
that does not fit is skipped. Called by the cycle in a child process (it needs torch for bfloat16).
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from adapt.loki.rows import lora_config
from store.errors import ModelError
from store.files import write_atomic

_TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<kind>[AB])\.weight")
_HINT = "only plain LoRA adapters of one base model can be composed"


@dataclass(frozen=True)
class Part:
    """One adapter directory and the factor its change is multiplied by."""

    path: Path
    scale: float = 1.0


@dataclass(frozen=True)
class Composition:
    """What was written: the largest rank of a module, and the rank of each."""

    path: Path
    rank: int
    ranks: dict[str, int]


@dataclass(frozen=True)
class _Adapter:
    path: Path
    base: str
    modules: dict[str, tuple[Tensor, Tensor]]
    """Module path -> A [r, in] and B [out, r] in fp32, scaling folded into B."""


def compose(parts: Sequence[Part], out_dir: Path) -> Composition:
    """Write the sum of `parts` as one PEFT adapter of scaling 1 and return its ranks.

    The same parts give the same bytes; the config comes last. Raises ModelError naming the part
    and the tensor or setting that does not fit: other shapes, another base, anything but LoRA.
    """
    if not parts:
        raise ModelError("there is nothing to compose", "give at least one adapter")
    adapters = [_read(part) for part in parts]
    base = adapters[0].base
    for adapter in adapters:
        if adapter.base != base:
            raise ModelError(
                f"{adapter.path} is an adapter of {adapter.base!r}, "
                f"{adapters[0].path} one of {base!r}",
                "train both on the same base model",
            )
    tensors: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    for module in sorted(set().union(*(adapter.modules for adapter in adapters))):
        stacked, beside = _join(module, adapters)
        name = f"base_model.model.{module}"
        tensors[f"{name}.lora_A.weight"] = stacked
        tensors[f"{name}.lora_B.weight"] = beside
        ranks[module] = stacked.shape[0]
    write_atomic(out_dir / "adapter_model.safetensors", to_bytes(tensors, {"format": "pt"}))
    # Engines reserve for the largest rank and read it from `r`; the others are the exceptions.
    rank = max(ranks.values())
    exceptions = {module: r for module, r in ranks.items() if r != rank}
    # Whole module paths: a suffix such as "down_proj" would also name layers no part touches.
    config = lora_config(rank, sorted(ranks), base, exceptions)
    write_atomic(out_dir / "adapter_config.json", config)
    return Composition(out_dir, rank, ranks)


def changes_of(path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """An adapter's change: module path -> A [r, in] and B [out, r] in fp32, scaling folded into B.

    Raises ModelError for anything but a plain LoRA.
    """
    return _read(Part(path)).modules


def _join(module: str, adapters: list[_Adapter]) -> tuple[Tensor, Tensor]:
    pairs = [
        (adapter.path, *adapter.modules[module])
        for adapter in adapters
        if module in adapter.modules
    ]
    first_path, first_a, first_b = pairs[0]
    for path, a, b in pairs[1:]:
        if (a.shape[1], b.shape[0]) != (first_a.shape[1], first_b.shape[0]):
            raise ModelError(
                f"{module} is {b.shape[0]} x {a.shape[1]} in {path} but "
                f"{first_b.shape[0]} x {first_a.shape[1]} in {first_path}",
                _HINT,
            )
    return (
        torch.cat([a for _, a, _ in pairs]).contiguous(),
        torch.cat([b for _, _, b in pairs], 1).contiguous(),
    )


def _read(part: Part) -> _Adapter:
    """An adapter with its scale folded in. Raises ModelError for anything but a plain LoRA."""
    path = Path(part.path)
    try:
        config = json.loads((path / "adapter_config.json").read_text())
        tensors = load_file(path / "adapter_model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"the adapter {path} cannot be read: {error}", "it may be half-written; build it again"
        ) from error
    _check_settings(path, config)
    halves: dict[str, dict[str, Tensor]] = {}
    for name, tensor in sorted(tensors.items()):
        found = _TENSOR.fullmatch(name)
        if not found or tensor.dim() != 2 or not tensor.is_floating_point():
            raise ModelError(f"{name} in {path} is not a LoRA matrix of a linear layer", _HINT)
        halves.setdefault(found["module"], {})[found["kind"]] = tensor.float()
    if not halves:
        raise ModelError(f"the adapter {path} holds no tensors", _HINT)
    modules = {}
    for module, half in halves.items():
        a, b = half.get("A"), half.get("B")
        if a is None or b is None or a.shape[0] != b.shape[1]:
            shapes = {f"lora_{kind}": tuple(tensor.shape) for kind, tensor in half.items()}
            raise ModelError(f"the halves of {module} in {path} do not fit: {shapes}", _HINT)
        rank = _pattern(config, "rank_pattern", module, config["r"])
        if a.shape[0] != rank:
            raise ModelError(
                f"{module} in {path} has rank {a.shape[0]}, its config says {rank}", _HINT
            )
        alpha = _pattern(config, "alpha_pattern", module, config["lora_alpha"])
        modules[module] = (a, b * (alpha / rank * part.scale))
    return _Adapter(path, str(config["base_model_name_or_path"]), modules)


def _check_settings(path: Path, config: Any) -> None:
    needed = ("r", "lora_alpha", "base_model_name_or_path")
    if not isinstance(config, dict) or any(key not in config for key in needed):
        raise ModelError(f"{path}/adapter_config.json lacks one of {', '.join(needed)}", _HINT)
    if config.get("peft_type") != "LORA":
        raise ModelError(f"{path} is a {config.get('peft_type')} adapter, not LORA", _HINT)
    refused = ("use_dora", "use_rslora", "modules_to_save", "fan_in_fan_out", "layer_replication")
    for key in (*refused, "trainable_token_indices", "lora_bias"):
        if config.get(key):
            raise ModelError(f"{path} has {key} = {config[key]!r}", _HINT)
    if config.get("bias", "none") != "none":
        raise ModelError(f"{path} has bias = {config['bias']!r}", _HINT)


def _pattern(config: dict[str, Any], kind: str, module: str, default: float) -> float:
    """The value of the first pattern that names `module`, by PEFT's own matching."""
    for key, value in (config.get(kind) or {}).items():
        if re.fullmatch(rf"(.*\.)?({key})", module):
            return value
    return default
