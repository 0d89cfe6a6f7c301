"""The rounds of a skill vector: what one round is, what is carried, where it goes on."""

from functools import partial
from pathlib import Path

import pytest
import torch
from tiny_models import build_tiny_model, write_general_corpus

from adapt.base import find_model
from adapt.reproduce.past_ablations import add_vector
from adapt.skill.environment import Rewards
from adapt.skill.grpo import GrpoSettings
from adapt.skill.recipe import measure, solved, train_rounds
from adapt.skill.sft import Onto, Workplace, learn
from adapt.skill.source import tool_parts
from adapt.skill.train import train_skill
from agent.config import load_settings
from store.errors import ConfigError
from tools.virtual_api.catalogue import build_catalogue

GRPO = GrpoSettings(
    steps=2, tasks_per_step=2, group=4, max_new_tokens=24, learning_rate=1e-2, warmup=0,
    patience=50, threads=1,
)  # fmt: skip
PARTS = tool_parts(
    build_catalogue(0), ["Events"], 2, Rewards(unfinished=-1.0, finished_at_once=1.0)
)
"""Ending a turn at all is paid: the only thing that a random model can learn."""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A tiny base that brings a general corpus."""
    path = build_tiny_model(
        tmp_path_factory.mktemp("base") / "model", "qwen3", hidden=64, layers=2, max_length=2048
    )
    write_general_corpus(path)
    return find_model(str(path), tmp_path_factory.mktemp("digests"))


def place_of(base, work: Path) -> Workplace:
    update = {"epochs": 1, "learning_rate": 1e-3, "quota_percent": 10.0}
    work.mkdir()
    return Workplace(base, load_settings(work / "home", update=update), work, 0, 1)


def silent(_: str) -> None:
    """Shows nothing."""


@pytest.fixture(scope="module")
def one_round(base, tmp_path_factory):
    """The vector of a single round, and its place."""
    place = place_of(base, tmp_path_factory.mktemp("one") / "work")
    tensors, rounds = train_rounds(place, PARTS[:1], GRPO, silent, held_out=4)
    return place, tensors, rounds


def test_one_round_is_the_plain_vector(one_round, base) -> None:
    """K = 1: what RL alone makes of theta_SFT, bit for bit."""
    place, tensors, rounds = one_round
    learned = learn(place, PARTS[0].examples(0), "skill-1", silent)
    model = place.model()
    learned.put_into(model)
    plain = train_skill(
        model, place.tokenizer, PARTS[0].draw, GRPO, sft_digest=learned.digest,
        replay=place.general(),
    )  # fmt: skip
    assert len(rounds) == 1
    assert all(torch.equal(plain.tensors[name], tensor) for name, tensor in tensors.items())


def test_the_second_round_starts_from_the_first_rounds_vector(one_round, base, tmp_path) -> None:
    """Whose part is done already and is not done again."""
    place, first, _ = one_round
    seen: list[str] = []
    both, rounds = train_rounds(place, PARTS, GRPO, seen.append, held_out=4)
    assert not [said for said in seen if said.startswith("round 1 of 2: documents")]
    assert [told.part for told in rounds] == [part.name for part in PARTS]
    learned = learn(place, PARTS[1].examples(0), "skill-2", silent)
    model = place.model()
    learned.put_into(model)
    carried = train_skill(
        model, place.tokenizer, PARTS[1].draw, GRPO, sft_digest=learned.digest, start=first,
        replay=place.general(),
    )  # fmt: skip
    assert all(torch.equal(carried.tensors[name], tensor) for name, tensor in both.items())


def test_documents_learned_on_top_of_a_vector_are_learned_from_its_weights(one_round) -> None:
    place, tensors, _ = one_round
    examples = PARTS[0].examples(0)
    nothing = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    onto = {
        name: learn(place, examples, name, silent, Onto(name, partial(add_vector, tensors=added)))
        for name, added in (("vector", tensors), ("nothing", nothing))
    }
    plain = learn(place, examples, "skill-1", silent)
    same = zip(plain.rows, onto["nothing"].rows, strict=True)
    other = zip(plain.rows, onto["vector"].rows, strict=True)
    assert all(torch.equal(one, two) for one, two in same)
    assert not any(torch.equal(one, two) for one, two in other)


def test_measuring_plays_each_once_in_order(one_round) -> None:
    place, _, _ = one_round
    asked = PARTS[0].held_out(5)
    played = measure(place.model(), place.tokenizer, asked, 8)
    assert [game.messages[1].content for game in played] == [task.task.query for task in asked]
    assert solved(played) == 0.0


def test_a_base_without_a_general_corpus_is_refused(base, tmp_path) -> None:
    bare = build_tiny_model(tmp_path / "bare", "qwen3", hidden=64, layers=2)
    place = place_of(find_model(str(bare), tmp_path / "digests"), tmp_path / "work")
    with pytest.raises(ConfigError, match="no general corpus"):
        train_rounds(place, PARTS[:1], GRPO, silent)
