"""Packed sequences: the states and gradients are those of each sequence run alone."""

from pathlib import Path

import pytest
import torch
from tiny_models import build_tiny_model
from torch import Tensor
from transformers import AutoModelForCausalLM

from adapt.loki.packing import pack, packed_hidden

LENGTHS = (7, 3, 40, 8, 1, 19, 8)
MODELS = [
    ("qwen2", {}),
    ("qwen3", {}),
    ("llama", {}),
    ("mistral", {}),
    ("mistral", {"sliding_window": 5}),
]


@pytest.fixture(scope="module", params=MODELS, ids=lambda m: m[0] + "-window" * bool(m[1]))
def model(request, tmp_path_factory) -> torch.nn.Module:
    arch, config = request.param
    path: Path = build_tiny_model(tmp_path_factory.mktemp("base"), arch, heads=4, **config)
    return AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()


def sequences() -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randint(3, 500, (1, length), generator=generator) for length in LENGTHS]


def test_states_are_those_of_each_sequence_alone(model) -> None:
    asked = sequences()
    with torch.no_grad():
        packed = packed_hidden(model, torch.cat(asked, 1), pack(LENGTHS))
        alone = torch.cat([model.model(input_ids=ids).last_hidden_state[0] for ids in asked])
    assert torch.allclose(packed, alone, atol=2e-5)


def test_gradients_are_those_of_each_sequence_alone(model) -> None:
    """Of a weight whose gradient passes through attention."""
    weight = model.get_parameter("model.layers.0.mlp.down_proj.weight")
    asked = sequences()
    # Not a sum of squares, which the last norm holds fixed.
    direction = torch.randn(sum(LENGTHS), 64, generator=torch.Generator().manual_seed(6))
    packed = packed_hidden(model, torch.cat(asked, 1), pack(LENGTHS))
    alone = torch.cat([model.model(input_ids=ids).last_hidden_state[0] for ids in asked])
    ours, plain = (
        torch.autograd.grad((states * direction).sum(), weight)[0] for states in (packed, alone)
    )
    assert plain.abs().max() > 1
    assert torch.allclose(ours, plain, rtol=1e-3, atol=1e-5 * float(plain.abs().max()))


def test_the_model_attends_as_before_afterwards(model) -> None:
    before = model.config._attn_implementation
    with pytest.raises(IndexError):
        packed_hidden(model, torch.full((1, 3), 10**6), pack([3]))
    assert model.config._attn_implementation == before == "eager"


def test_every_position_is_in_one_group_of_similar_lengths() -> None:
    packing = pack(LENGTHS)
    order = torch.cat([group.places[group.real] for group in packing.groups])
    assert torch.equal(order[packing.inverse], torch.arange(sum(LENGTHS)))
    assert packing.position_ids[0].tolist() == [i for length in LENGTHS for i in range(length)]
    assert [group.shape for group in packing.groups] == [(5, 8), (1, 19), (1, 40)]
