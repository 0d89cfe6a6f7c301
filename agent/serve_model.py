"""What the engine is about to load and on what: model directory checks, and the GPU question.

Reads files only, loads no model and needs no torch. Called by `agent.serve` and the doctor.
"""

import json
from pathlib import Path

from store.errors import ModelError

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tekken.json")


def check_model_dir(directory: Path) -> None:
    """ModelError unless `directory` holds a model that vLLM can serve, saying what is missing."""
    if not directory.is_dir():
        raise ModelError(
            f"model directory {directory} does not exist",
            "give a directory with config.json, a tokenizer and safetensors weights",
        )
    _check_config(directory / "config.json")
    missing: list[str] = []
    if not any((directory / name).is_file() for name in TOKENIZER_FILES):
        missing.append("a tokenizer (tokenizer.json)")
    if not any(directory.glob("*.safetensors")):
        missing.append("weights (*.safetensors; pickled weights are refused)")
    if missing:
        raise ModelError(
            f"model directory {directory} lacks {' and '.join(missing)}",
            "save model and tokenizer into it with save_pretrained",
        )
    _check_shards(directory)


def _check_config(file: Path) -> None:
    try:
        config = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise ModelError(
            f"model directory {file.parent} lacks config.json",
            "save the model into it with save_pretrained",
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}", "copy the model again") from error
    if not isinstance(config, dict) or not config.get("architectures"):
        raise ModelError(f"{file} names no architecture", "it is not a transformers model")


def _check_shards(directory: Path) -> None:
    """Every shard of the index is there: a half-copied model fails only minutes into the start."""
    index = directory / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        shards = set(json.loads(index.read_bytes())["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(f"{index} cannot be read: {error!r}", "copy the model again") from error
    if lost := sorted(name for name in shards if not (directory / name).is_file()):
        raise ModelError(
            f"model directory {directory} lacks {len(lost)} of {len(shards)} shards: {lost[0]}",
            "copy the model again",
        )


def weight_bytes(directory: Path) -> int:
    """Size of the safetensors files on disk, in bytes."""
    return sum(file.stat().st_size for file in directory.glob("*.safetensors"))


def has_nvidia_gpu(proc: Path = Path("/proc/driver/nvidia/gpus")) -> bool:
    """Whether the kernel driver lists an NVIDIA GPU. Asks no library, so it costs nothing."""
    try:
        return any(proc.iterdir())
    except OSError:
        return False
