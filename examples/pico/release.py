"""Put a trained model into agent/pico: `python -m examples.pico.release runs/pico/model`.

Copies tokenizer and weights, or the mean of several models' weights (model soups, arXiv
2203.05482: better on what neither was trained on), and writes `general.jsonl`, conversations that
stand for what the model can do (attribution and replay read it).
"""

import json
import shutil
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from safetensors.torch import load_file, save_file

from adapt.base import PICO
from examples.pico.stream import Conversation, Stream

FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)
GENERAL = {
    "puzzle": 0.42, "fact": 0.10, "closed_call": 0.12, "single": 0.13, "none": 0.06, "multi": 0.05,
    "cross": 0.07, "describe_known": 0.02, "calculator": 0.015, "search": 0.015,
}  # fmt: skip
"""Share of each kind. What is known by heart comes often: unlike skill, a fact that is never
replayed is soon lost (docs/results.md). Puzzles have few tokens, so they come most often."""


def plain(conversation: Conversation) -> dict[str, Any]:
    """A conversation as `adapt.base.read_conversations` reads it."""
    messages = []
    for m in conversation.messages:
        entry: dict[str, Any] = {"role": m["role"], "content": m["content"]}
        if m.get("tool_calls"):
            entry["tool_calls"] = [c["function"] for c in m["tool_calls"]]
        if m.get("mistake"):
            entry["loss"] = False
        messages.append(entry)
    return {"messages": messages, "tools": conversation.tools}


def general(count: int, seed: int) -> list[dict[str, Any]]:
    """`count` conversations of the training stream's kinds."""
    stream = Stream(seed, GENERAL)
    stream.progress = 1.0
    return [plain(c) for c in islice(stream, count)]


def main(
    models: Annotated[list[Path], typer.Argument(help="Directories that pretrain_pico wrote.")],
    out: Annotated[Path, typer.Option(help="Where to.")] = PICO,
    count: Annotated[int, typer.Option(help="Conversations in general.jsonl.")] = 3000,
) -> None:
    """Write the mean of the models, the rest of the last, and the general corpus."""
    weights = [load_file(model / "model.safetensors") for model in models]
    mean = {
        name: torch.stack([w[name] for w in weights]).mean(0).contiguous() for name in weights[0]
    }
    out.mkdir(parents=True, exist_ok=True)
    save_file(mean, out / "model.safetensors", metadata={"format": "pt"})
    for name in FILES:
        shutil.copyfile(models[-1] / name, out / name)
    lines = (json.dumps(c, ensure_ascii=False) for c in general(count, seed=990_001))
    (out / "general.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    typer.run(main)
