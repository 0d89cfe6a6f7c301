"""On an NVIDIA GPU: games are played and a vector is learned in both precisions."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import build_tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from adapt.skill.environment import Rewards, ToolTask
from adapt.skill.grpo import GrpoSettings
from adapt.skill.recipe import measure
from adapt.skill.train import train_skill
from tools.virtual_api.catalogue import build_catalogue
from tools.virtual_api.tasks import TaskWriter

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]
CATALOGUE = build_catalogue(0)
PAYS = Rewards(unfinished=-1.0, finished_at_once=1.0)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("base"), "qwen3", max_length=2048)


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def model(model_dir, request):
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        model_dir, dtype=request.param, attn_implementation="sdpa"
    )
    return loaded.eval().to("cuda")


@pytest.fixture(scope="module")
def tokenizer(model_dir):
    return AutoTokenizer.from_pretrained(model_dir)


def draw(rng: random.Random) -> ToolTask:
    tools = CATALOGUE.category("Events")
    return ToolTask(TaskWriter(CATALOGUE, tools, rng, (3, 3)).write("single"), CATALOGUE, PAYS)


def test_a_vector_is_learned_and_the_model_stays(model, tokenizer):
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    settings = GrpoSettings(
        steps=3, tasks_per_step=2, group=8, max_new_tokens=40, learning_rate=1e-2, warmup=0,
        patience=50,
    )  # fmt: skip
    result = train_skill(model, tokenizer, draw, settings, sft_digest="s" * 64)
    assert len(result.curve) == 3
    assert any(t.abs().sum() > 0 for n, t in result.tensors.items() if ".lora_B." in n)
    assert all(torch.equal(before[n], w) for n, w in model.state_dict().items())


def test_games_are_played_to_their_end(model, tokenizer):
    asked = [draw(random.Random(n)) for n in range(6)]
    played = measure(model, tokenizer, asked, 20)
    assert all(game.outcome.reason for game in played)
