"""Composition: one adapter whose change is exactly the sum of its parts' changes."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tiny_models import build_tiny_adapter, build_tiny_model
from transformers import AutoModelForCausalLM

from adapt.compose import Part, changes_of, compose
from store.errors import ModelError
from store.files import digest_of_directory

BASE = "b" * 64


def name_base(adapter: Path, **changes) -> Path:
    path = adapter / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"base_model_name_or_path": BASE} | changes))
    return adapter


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A base, an adapter of down_proj, and one of down_proj and q_proj with alpha != r."""
    root = tmp_path_factory.mktemp("compose")
    base = build_tiny_model(root / "base", "qwen3", hidden=64, layers=2)
    rows = name_base(build_tiny_adapter(base, root / "rows", rank=5, scale=0.05))
    skill = build_tiny_adapter(
        base, root / "skill", rank=3, modules=("down_proj", "q_proj"), scale=0.05, seed=2
    )
    name_base(skill, lora_alpha=6)
    return base, rows, skill


@pytest.fixture
def parts(shared, tmp_path):
    base, rows, skill = shared
    shutil.copytree(rows, tmp_path / "rows")
    shutil.copytree(skill, tmp_path / "skill")
    return base, tmp_path / "rows", tmp_path / "skill"


def change(adapter: Path) -> dict[str, torch.Tensor]:
    """Module -> B A x alpha / r, worked out by hand for an adapter without patterns."""
    config = json.loads((adapter / "adapter_config.json").read_text())
    tensors = load_file(adapter / "adapter_model.safetensors")
    found = {}
    for name in tensors:
        if ".lora_A." in name:
            module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            b = tensors[name.replace("lora_A", "lora_B")]
            found[module] = b @ tensors[name] * (config["lora_alpha"] / config["r"])
    return found


def test_logits_are_those_of_base_plus_the_sum_of_changes(parts, tmp_path):
    base, rows, skill = parts
    made = compose([Part(rows), Part(skill, 0.7)], tmp_path / "out")
    assert made.rank == 8
    expected = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        for adapter, scale in ((rows, 1.0), (skill, 0.7)):
            for module, delta in change(adapter).items():
                expected.get_submodule(module).get_parameter("weight").add_(scale * delta)
    plain = AutoModelForCausalLM.from_pretrained(base)
    composed = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base), str(tmp_path / "out")
    )
    ids = torch.arange(3, 43)[None]
    with torch.no_grad():
        ours, theirs, before = (model(ids).logits for model in (composed, expected, plain))
    assert (theirs - before).abs().max() > 0.1
    assert (ours - theirs).abs().max() / theirs.abs().max() < 1e-5


def test_the_change_is_the_sum_of_the_parts_changes_in_float64(parts, tmp_path):
    """With scales that a float holds exactly, nothing is rounded on the way."""
    _, rows, skill = parts
    compose([Part(rows), Part(skill, 0.5)], tmp_path / "out")
    whole = {m: b.double() @ a.double() for m, (a, b) in changes_of(tmp_path / "out").items()}
    apart: dict[str, torch.Tensor] = {}
    for adapter, scale in ((rows, 1.0), (skill, 0.5)):
        for module, (a, b) in changes_of(adapter).items():
            change = scale * (b.double() @ a.double())
            apart[module] = apart[module] + change if module in apart else change
    assert whole.keys() == apart.keys()
    for module, change in apart.items():
        assert (whole[module] - change).abs().max() < 1e-12 * change.abs().max()


def test_each_rank_pattern_names_one_module(parts, tmp_path):
    _, rows, skill = parts
    made = compose([Part(rows), Part(skill)], tmp_path / "out")
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["rank_pattern"] == config["alpha_pattern"]
    assert set(config["rank_pattern"].values()) == {3}
    for key in config["rank_pattern"]:
        hits = [module for module in made.ranks if re.match(rf"(.*\.)?({key})$", module)]
        assert hits == [key]
    assert config["target_modules"] == sorted(made.ranks)
    assert config["r"] == config["lora_alpha"] == 8


def test_one_part_of_scale_one_keeps_its_bits(parts, tmp_path):
    _, rows, _ = parts
    compose([Part(rows)], tmp_path / "out")
    before, after = (
        load_file(folder / "adapter_model.safetensors") for folder in (rows, tmp_path / "out")
    )
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_composition_composes_again(parts, tmp_path):
    _, rows, skill = parts
    compose([Part(rows), Part(skill)], tmp_path / "one")
    compose([Part(tmp_path / "one"), Part(rows, -1.0)], tmp_path / "two")
    tensors = load_file(tmp_path / "two" / "adapter_model.safetensors")
    for module, delta in change(skill).items():
        name = f"base_model.model.{module}"
        rebuilt = tensors[f"{name}.lora_B.weight"] @ tensors[f"{name}.lora_A.weight"]
        assert torch.allclose(rebuilt, delta, atol=1e-6)


def test_equal_parts_give_equal_bytes(parts, tmp_path):
    _, rows, skill = parts
    for name in ("a", "b"):
        compose([Part(rows), Part(skill, 0.3)], tmp_path / name)
    assert digest_of_directory(tmp_path / "a") == digest_of_directory(tmp_path / "b")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base_model_name_or_path": "other"}, "'other'"),
        ({"use_dora": True}, "use_dora"),
        ({"use_rslora": True}, "use_rslora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"r": 4}, "rank 3"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(parts, tmp_path, changes, words):
    _, rows, skill = parts
    name_base(skill, **changes)
    with pytest.raises(ModelError, match=words):
        compose([Part(rows), Part(skill)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tensor_that_does_not_fit_is_named(parts, tmp_path):
    _, rows, skill = parts
    path = skill / "adapter_model.safetensors"
    good = load_file(path)
    name = "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"
    for bad, words in (
        (good | {name: good[name][:, :-1].contiguous()}, "layers.0.mlp.down_proj"),
        ({key: value for key, value in good.items() if key != name}, "halves"),
        (good | {"base_model.model.lm_head.weight": torch.ones(2, 2)}, "lm_head"),
        ({}, "no tensors"),
    ):
        save_file(bad, path)
        with pytest.raises(ModelError, match=words):
            compose([Part(rows), Part(skill)], tmp_path / "out")


def test_a_half_written_adapter_is_refused(parts, tmp_path):
    _, rows, skill = parts
    path = skill / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot be read"):
        compose([Part(rows), Part(skill)], tmp_path / "out")
    with pytest.raises(ModelError, match="nothing to compose"):
        compose([], tmp_path / "out")
