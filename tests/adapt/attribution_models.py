"""Loaders that worker processes import by name; see test_attribution_workers."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from adapt.loki.workers import Load


def loader(path: Path) -> Load:
    """Loads a model directory."""
    return partial(_load, str(path))


def dying_loader() -> Load:
    """Ends the worker."""
    return _die


def _load(path: str, device: str) -> Any:
    model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    return model.eval().to(device)


def _die(_: str) -> Any:
    import os

    os._exit(3)
