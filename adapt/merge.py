"""A base and an adapter as whole weights: W + B A, written as a model directory of its own.

One tensor at a time is read, changed and put into a shard; the model as a whole is never in memory.
It judges nothing and stores nothing. Called by adapt.stages in a child process.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import (
    StateDictSplit,
    get_local_safetensors_metadata,
    split_state_dict_into_shards_factory,
)
from huggingface_hub.errors import NotASafetensorsRepoError, SafetensorsParsingError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from adapt.compose import changes_of
from store.errors import ModelError
from store.files import write_atomic

SHARD_BYTES = 1 << 30
"""Most bytes of a shard, and so about the most that merging keeps in memory."""
_INDEX = "model.safetensors.index.json"
_BESIDE = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "LICENSE*", "NOTICE*")
_ROWS = 1024
"""Rows summed at a time: the sum is in float64, four times the size of bfloat16."""
_FORMATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
"""What stands for itself: eight bits have a scale beside them, in a tensor of its own."""

Change = tuple[Tensor, Tensor]
Progress = Callable[[int, int], None]
"""(bytes written, bytes in all)."""


@dataclass(frozen=True)
class Merged:
    """What was written, and where."""

    path: Path
    tensors: int
    changed: int
    """Tensors to which a change was added."""
    format: str
    """Number format of these: `float32`, `bfloat16`."""
    bytes: int
    shards: int


@dataclass(frozen=True)
class _Base:
    """Where each tensor of a model directory lies, its shape and its size in bytes."""

    path: Path
    files: dict[str, str]
    shapes: dict[str, tuple[int, ...]]
    sizes: dict[str, int]


def merge(
    base_dir: Path,
    adapter_dir: Path,
    out_dir: Path,
    *,
    max_shard_bytes: int = SHARD_BYTES,
    progress: Progress | None = None,
) -> Merged:
    """Write the base with the adapter's change added to its weights, as a whole or not at all.

    Sums are made in float64 and rounded once to the base's own number format; a tensor that no
    change touches keeps its bits, also where the embedding is tied. The same inputs give the same
    bytes. What an earlier try left in `out_dir` is replaced. Raises ModelError naming the tensor
    for a change that fits no weight of the base, and for a base or adapter that cannot be read.
    """
    base = _look(base_dir)
    changes = changes_of(adapter_dir)
    _check(base, changes, adapter_dir)
    split = split_state_dict_into_shards_factory(
        base.sizes,
        get_storage_size=lambda size: size,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=max_shard_bytes,
    )
    unfinished = out_dir.with_name(f".{out_dir.name}.unfinished")
    for stale in (unfinished, out_dir):
        shutil.rmtree(stale, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        format = _write(base, changes, split, unfinished, progress)
        _copy_beside(base_dir, unfinished)
        os.rename(unfinished, out_dir)
    except BaseException:
        # A full disk is not to stay full.
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    size, shards = sum(base.sizes.values()), len(split.filename_to_tensors)
    return Merged(out_dir, len(base.sizes), len(changes), format, size, shards)


def _write(
    base: _Base,
    changes: dict[str, Change],
    split: StateDictSplit,
    out_dir: Path,
    progress: Progress | None,
) -> str:
    """The shards and their index. Returns the number format of what was changed."""
    total, written = sum(base.sizes.values()), 0
    formats: set[str] = set()
    for file, names in split.filename_to_tensors.items():
        shard = {name: _tensor(base, name, changes) for name in names}
        formats |= {_format(shard[name]) for name in names if _module(name) in changes}
        save_file(shard, out_dir / file, {"format": "pt"})
        written += sum(base.sizes[name] for name in names)
        # Before the next one is filled: two shards at once would be twice the promise.
        del shard
        if progress:
            progress(written, total)
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        write_atomic(out_dir / _INDEX, json.dumps(index, indent=2, sort_keys=True) + "\n")
    return ", ".join(sorted(formats))


def _look(path: Path) -> _Base:
    """The tensors of a model directory, from the headers of its files, in order of their names."""
    try:
        found = get_local_safetensors_metadata(path)
    except (NotASafetensorsRepoError, SafetensorsParsingError, OSError, ValueError) as error:
        raise ModelError(
            f"the weights in {path} cannot be read: {error}", "fetch the model again"
        ) from error
    # The index, and not the folder, says what belongs to the model: some bring every weight twice.
    files = dict(sorted(found.weight_map.items()))
    infos = {name: found.files_metadata[file].tensors.get(name) for name, file in files.items()}
    if missing := [name for name, info in infos.items() if info is None]:
        raise ModelError(
            f"{path / files[missing[0]]} lacks {missing[0]}, which its index names",
            "fetch the model again",
        )
    known = {name: info for name, info in infos.items() if info is not None}
    return _Base(
        path,
        files,
        {name: tuple(info.shape) for name, info in known.items()},
        {name: info.data_offsets[1] - info.data_offsets[0] for name, info in known.items()},
    )


def _check(base: _Base, changes: dict[str, Change], adapter: Path) -> None:
    for module, (a, b) in changes.items():
        shape = base.shapes.get(f"{module}.weight")
        if shape is None:
            raise ModelError(
                f"{adapter} changes {module}, and {base.path} has no {module}.weight",
                "merge an adapter with the model that it was trained on",
            )
        if shape != (b.shape[0], a.shape[1]):
            raise ModelError(
                f"{adapter} changes {module} by {b.shape[0]} x {a.shape[1]}, "
                f"in {base.path} it is {' x '.join(map(str, shape))}",
                "merge an adapter with the model that it was trained on",
            )


def _tensor(base: _Base, name: str, changes: dict[str, Change]) -> Tensor:
    """A tensor of the result: the base's own, or with its change added."""
    file = base.path / base.files[name]
    try:
        with safe_open(file, framework="pt") as opened:
            weight: Tensor = opened.get_tensor(name)
    except (SafetensorError, OSError) as error:
        why = f"{name} in {file} cannot be read: {error}"
        raise ModelError(why, "fetch the model again") from error
    change = changes.get(_module(name))
    if change is None:
        return weight
    if weight.dtype not in _FORMATS:
        raise ModelError(
            f"{name} in {file} is {weight.dtype}, which nothing can be added to",
            "take a base that is not quantized",
        )
    a, b = change[0].double(), change[1]
    made = torch.empty_like(weight)
    for at in range(0, weight.shape[0], _ROWS):
        rows = slice(at, at + _ROWS)
        made[rows] = (weight[rows].double() + b[rows].double() @ a).to(weight.dtype)
    return made


def _module(name: str) -> str:
    """The linear layer whose weight a tensor is; empty for a bias and the like."""
    return name.removesuffix(".weight") if name.endswith(".weight") else ""


def _format(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _copy_beside(base_dir: Path, out_dir: Path) -> None:
    """Configuration, tokenizer and licence. The hub's cache has links, of which files are made."""
    for file in sorted({f for pattern in _BESIDE for f in base_dir.glob(pattern)}):
        if file.is_file() and not file.name.endswith(".index.json"):
            shutil.copyfile(file, out_dir / file.name)
