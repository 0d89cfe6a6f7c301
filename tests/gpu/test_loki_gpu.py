"""On an NVIDIA GPU: rows train in bfloat16 and move alone, in all methods; attribution runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from peft import PeftModel
from tiny_models import build_tiny_model
from training_examples import EXAMPLES, MASK, QUICK, example
from transformers import AutoModelForCausalLM, AutoTokenizer

from adapt.loki.attribution import attribute
from adapt.loki.batches import cut_prompts
from adapt.loki.implant import implant
from adapt.loki.learning import train_method
from adapt.loki.methods import Method
from adapt.render import Renderer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]
SETTINGS = replace(QUICK, precision="auto", optimizer="adamw")


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("base"), "qwen3")


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def model(model_dir, request):
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        model_dir, dtype=request.param, attn_implementation="sdpa"
    )
    return loaded.eval().to("cuda")


@pytest.fixture(scope="module")
def tokenizer(model_dir):
    return AutoTokenizer.from_pretrained(model_dir)


@pytest.mark.parametrize("rank", [None, 2])
def test_rows_learn_in_bfloat16_and_move_alone(model, model_dir, tokenizer, tmp_path, rank):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = implant(
        model, tokenizer, EXAMPLES, MASK, replace(SETTINGS, rank=rank), tmp_path / "out",
        replay=[example(index) for index in range(40, 44)],
    )  # fmt: skip
    assert result.last_loss < result.first_loss
    assert result.peak_memory_bytes == torch.cuda.max_memory_allocated()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    base = AutoModelForCausalLM.from_pretrained(model_dir)
    weights = {name: value.clone() for name, value in base.state_dict().items()}
    merged = PeftModel.from_pretrained(base, str(tmp_path / "out")).merge_and_unload()
    for layer, rows in enumerate(MASK.rows):
        name = f"model.layers.{layer}.mlp.down_proj.weight"
        moved = (merged.get_parameter(name) != weights[name]).any(1).nonzero().flatten()
        assert moved.tolist() == list(rows)


@pytest.mark.parametrize("method", get_args(Method))
def test_every_method_trains_and_goes(model, tokenizer, method):
    rank = None if method in ("loki", "full") else 2
    settings = replace(SETTINGS, rank=rank, gradient_checkpointing=True, accumulate=2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with train_method(model, tokenizer, EXAMPLES, settings, method, MASK) as trained:
        assert trained.result.last_loss < trained.result.first_loss
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_attribution_runs(model, tokenizer):
    renderer = Renderer(tokenizer)
    prompts = cut_prompts([renderer(example) for example in EXAMPLES], 0, 64)
    attribution = attribute(model, prompts, 5.0)
    assert attribution.samples == len(prompts)
