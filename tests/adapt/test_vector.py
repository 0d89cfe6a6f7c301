"""The skill vector on disk: it comes back as it was, and only for the base it was made for."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tiny_models import build_tiny_model
from transformers import AutoModelForCausalLM

from adapt.base import BaseModel, find_model
from adapt.skill.policy import lora_over, tensors_of
from adapt.skill.vector import CARD, WEIGHTS, load_vector, read_card, save_vector
from store.errors import IntegrityError, ModelError


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> BaseModel:
    folder = build_tiny_model(tmp_path_factory.mktemp("base"), "qwen3")
    return find_model(str(folder), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def tensors(base) -> dict[str, torch.Tensor]:
    model = AutoModelForCausalLM.from_pretrained(base.path)
    with lora_over(model, 4) as policy:
        found = tensors_of(policy)
    generator = torch.Generator().manual_seed(0)
    return {n: torch.randn(t.shape, generator=generator) * 0.2 for n, t in found.items()}


def put(tensors, folder: Path, base: BaseModel):
    return save_vector(
        tensors,
        folder,
        base,
        domain="Logistics",
        recipe={"steps": 3},
        rounds=2,
        facts={"reward_curve": [0.1, 0.4]},
    )


def test_a_vector_comes_back_as_it_was(tensors, base, tmp_path) -> None:
    """Record, tensors and facts; the digest is that of the tensors alone."""
    record = put(tensors, tmp_path / "a", base)
    loaded = load_vector(tmp_path / "a", base)
    assert loaded.record == record == read_card(tmp_path / "a")
    assert (record.domain, record.rounds, record.base_digest) == ("Logistics", 2, base.digest)
    assert loaded.facts["reward_curve"] == [0.1, 0.4]
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in tensors.items())
    assert put(dict(reversed(tensors.items())), tmp_path / "b", base).digest == record.digest
    other = {name: tensor + 1e-3 for name, tensor in tensors.items()}
    assert put(other, tmp_path / "c", base).digest != record.digest


def test_peft_adds_exactly_the_vector(tensors, base, tmp_path) -> None:
    """Loaded as an adapter and merged, each weight moves by lora_B @ lora_A."""
    put(tensors, tmp_path, base)
    plain = AutoModelForCausalLM.from_pretrained(base.path).state_dict()
    wrapped = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base.path), str(tmp_path)
    )
    merged = wrapped.merge_and_unload().state_dict()
    name = "model.layers.1.self_attn.q_proj"
    a, b = (tensors[f"base_model.model.{name}.lora_{half}.weight"] for half in "AB")
    assert torch.allclose(merged[f"{name}.weight"] - plain[f"{name}.weight"], b @ a, atol=1e-5)
    down = "model.layers.1.mlp.down_proj.weight"
    assert torch.equal(merged[down], plain[down])


@pytest.mark.parametrize("field", ["digest", "template_digest"])
def test_another_base_or_template_is_refused(tensors, base, tmp_path, field) -> None:
    """The message names both digests."""
    put(tensors, tmp_path, base)
    with pytest.raises(ModelError, match="ffffffffffff"):
        load_vector(tmp_path, replace(base, **{field: "f" * 64}))


def test_another_shape_is_refused(tensors, base, tmp_path) -> None:
    """A tensor that fits no weight of the base is named, when saving and when loading."""
    name = "base_model.model.model.layers.0.self_attn.k_proj.lora_B.weight"
    with pytest.raises(ModelError, match=r"layers\.0\.self_attn\.k_proj"):
        put({**tensors, name: torch.zeros(63, 4)}, tmp_path / "a", base)
    with pytest.raises(ModelError, match=r"layers\.9"):
        put(
            {k.replace("layers.1", "layers.9"): v for k, v in tensors.items()}, tmp_path / "b", base
        )
    with pytest.raises(ModelError, match="not a LoRA matrix"):
        put({"lm_head.weight": torch.zeros(4, 4)}, tmp_path / "c", base)
    assert not any(tmp_path.iterdir()), "nothing is written of a vector that does not fit"


def test_a_half_written_vector_is_none(tensors, base, tmp_path) -> None:
    """Without its card, or with tensors that are not its own, it is refused."""
    put(tensors, tmp_path, base)
    card = (tmp_path / CARD).read_text()
    (tmp_path / CARD).unlink()
    with pytest.raises(ModelError, match="no whole skill vector"):
        read_card(tmp_path)
    (tmp_path / CARD).write_text(card)
    save_file({k: v * 2 for k, v in load_file(tmp_path / WEIGHTS).items()}, tmp_path / WEIGHTS)
    with pytest.raises(IntegrityError, match="differs from the digest"):
        load_vector(tmp_path, base)
    (tmp_path / CARD).write_text(json.dumps({"vector": {"digest": "x"}}))
    with pytest.raises(ModelError, match="no whole skill vector"):
        read_card(tmp_path)


def test_the_card_is_read_without_torch(tensors, base, tmp_path) -> None:
    """The cycle's own process records a vector and never loads its tensors."""
    put(tensors, tmp_path, base)
    code = (
        "import sys; from pathlib import Path; from adapt.skill.vector import read_card;"
        f"read_card(Path({str(tmp_path)!r})); "
        "assert not {'torch', 'peft'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
