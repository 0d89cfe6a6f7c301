"""Loaders that worker processes import by name; see test_attribution_workers."""

import os
import time
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


def waiting_loader(pid_file: Path) -> Load:
    """Writes the worker's pid and never comes back."""
    return partial(_wait, str(pid_file))


def _load(path: str, device: str) -> Any:
    model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    return model.eval().to(device)


def _die(_: str) -> Any:
    os._exit(3)


def _wait(pid_file: str, _: str) -> Any:
    Path(pid_file).write_text(str(os.getpid()))
    time.sleep(600)
