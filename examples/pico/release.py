"""Put a trained model into agent/pico: `python -m examples.pico.release runs/pico/model`.

Copies weights and tokenizer and writes `general.jsonl`, conversations that stand for what the
model can do (attribution and replay read it). Half of the facts and of the APIs known by heart are
left out of that file, so that the `kept` suite also asks for what is never replayed.
"""

import json
import shutil
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from adapt.base import PICO
from examples.pico.stream import Conversation, Stream

FILES = (
    "model.safetensors",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)


def plain(conversation: Conversation) -> dict[str, Any]:
    """A conversation as `adapt.base.read_conversations` reads it."""
    messages = []
    for m in conversation.messages:
        entry: dict[str, Any] = {"role": m["role"], "content": m["content"]}
        if m.get("tool_calls"):
            entry["tool_calls"] = [c["function"] for c in m["tool_calls"]]
        messages.append(entry)
    return {"messages": messages, "tools": conversation.tools}


def general(count: int, seed: int) -> list[dict[str, Any]]:
    """`count` conversations of the training stream's kinds."""
    stream = Stream(seed)
    stream.progress = 1.0
    stream.facts = stream.facts[: len(stream.facts) // 2]
    stream.known_tools = stream.known_tools[: len(stream.known_tools) // 2]
    return [plain(c) for c in islice(stream, count)]


def main(
    model: Annotated[Path, typer.Argument(help="Directory that pretrain_pico wrote.")],
    out: Annotated[Path, typer.Option(help="Where to.")] = PICO,
    count: Annotated[int, typer.Option(help="Conversations in general.jsonl.")] = 1200,
) -> None:
    """Copy the model and write its general corpus."""
    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(model / name, out / name)
    lines = (json.dumps(c, ensure_ascii=False) for c in general(count, seed=990_001))
    (out / "general.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    typer.run(main)
