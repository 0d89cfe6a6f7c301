"""The heavy stages hand over to each other: base to mask to update to probed version."""

import json
from pathlib import Path

import pytest
from tiny_models import build_tiny_model

from adapt.loki.selection import Mask
from adapt.stage import run_stage
from adapt.stages import attribute_stage, compose_stage, implant_stage, probe_stage
from store.errors import StageError
from store.records import Example, Message, Probe, digest_of

BASE = "b" * 64


def write_examples(path: Path) -> Path:
    examples = [
        Example(
            digest=digest_of(index),
            kind="qa",
            messages=(
                Message(role="user", content=f"number {index}"),
                Message(role="assistant", content=f"answer {index}", loss=True),
            ),
            documents=("d",),
        )
        for index in range(8)
    ]
    path.write_text("".join(example.model_dump_json() + "\n" for example in examples))
    return path


def write_conversations(path: Path) -> Path:
    lines = [
        {
            "messages": [
                {"role": "user", "content": f"say {index}"},
                {"role": "assistant", "content": f"the number {index} it is"},
            ]
        }
        for index in range(12)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def print_nothing(entry):
    """A listener for stages whose progress is not looked at; it must be JSON all the same."""
    json.dumps(entry)


def test_the_stages_hand_over_to_each_other(tmp_path):
    """In this process, to import torch once; test_stage.py runs functions in children."""
    for name in ("attribute", "implant", "compose", "probe"):
        (tmp_path / name).mkdir()
    seen = []
    model = str(build_tiny_model(tmp_path / "base", "qwen3", hidden=64, layers=2))
    common = {"model_dir": model, "threads": 1}
    attributed = attribute_stage(
        common
        | {
            "conversations": str(write_conversations(tmp_path / "general.jsonl")),
            "prompts": 10,
            "quota_percent": 10,
            "seed": 3,
            "base_digest": BASE,
        },
        tmp_path / "attribute",
        print_nothing,
    )
    mask = Mask.load(Path(attributed["mask"]))
    assert (mask.digest, attributed["samples"]) == (attributed["digest"], 10)
    implanted = implant_stage(
        common
        | {
            "examples": str(write_examples(tmp_path / "examples.jsonl")),
            "mask": attributed["mask"],
            "settings": {"epochs": 2, "batch_tokens": 128},
        },
        tmp_path / "implant",
        seen.append,
    )
    assert seen[-1]["done"] == seen[-1]["total"] == implanted["steps"]
    made = compose_stage(
        common
        | {
            "candidates": [[{"path": implanted["path"], "scale": s}] for s in (1.0, 0.5)],
            "prompts": ["say 4"],
        },
        tmp_path / "compose",
        print_nothing,
    )["candidates"]
    composed, half = made
    assert composed["rank"] == half["rank"] == mask.rank == 6
    assert composed["probe"] != half["probe"]
    again = probe_stage(
        common | {"adapter_dir": composed["path"], "prompts": ["say 4"]},
        tmp_path / "probe",
        print_nothing,
    )
    assert Probe.model_validate(again["probe"]) == Probe.model_validate(composed["probe"])


def test_attribution_without_a_corpus_says_what_to_set(tmp_path):
    request = {"model_dir": "x", "conversations": None, "quota_percent": 10, "base_digest": BASE}
    with pytest.raises(StageError, match="general corpus") as caught:
        run_stage("adapt.stages:attribute_stage", request, tmp_path)
    assert "update.general_corpus" in caught.value.hint
