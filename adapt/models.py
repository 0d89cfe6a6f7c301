"""A model directory as something to run. Called by adapt.stages and adapt.skill.sft."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from store.errors import ModelError


def load_tokenizer(path: str) -> Any:
    """The tokenizer of a model directory. ModelError when there is none that can be read."""
    with _readable(path):
        return AutoTokenizer.from_pretrained(path)


def load_model(path: str, device: str = "") -> Any:
    """Ready to run: float32 on a CPU, the stored type on a GPU. By default a GPU if there is."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    gpu = device != "cpu"
    # Its bar of what is loaded would stand in the middle of what a command shows.
    logging.disable_progress_bar()
    with _readable(path):
        model: Any = AutoModelForCausalLM.from_pretrained(
            path,
            dtype="auto" if gpu else torch.float32,
            # On a CPU the fused kernel's backward pass is the slower one.
            attn_implementation="sdpa" if gpu else "eager",
        )
    return model.eval().to(device)


@contextmanager
def _readable(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"the model {path} cannot be loaded: {error}",
            "it needs config.json, safetensors weights and a tokenizer",
        ) from error
