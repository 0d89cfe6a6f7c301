"""The parts of a study: worlds, reference answers, the ledger, intervals and tables."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import build_tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from adapt.render import Renderer
from adapt.reproduce.arms import ARMS, DEFAULT, GRID
from adapt.reproduce.forced import given
from adapt.reproduce.ledger import Ledger
from adapt.reproduce.losses import learned_of, losses
from adapt.reproduce.report import Compared, against, draw_losses, interval, markdown
from adapt.reproduce.world import general_examples, make_world, old_abilities
from store.errors import ModelError
from store.records import Example, Message


def test_a_world_is_its_seed_and_asks_what_it_does_not_train_on() -> None:
    one, again, other = make_world(1), make_world(1), make_world(2)
    assert [e.digest for e in one.examples] == [e.digest for e in again.examples]
    facts = {e.messages[-1].content for e in one.asked["facts"]}
    assert facts.isdisjoint(e.messages[-1].content for e in other.asked["facts"])
    trained = {e.messages[1].content for e in one.examples}
    for asked in one.asked.values():
        assert trained.isdisjoint(e.messages[1].content for e in asked)
        assert all(e.messages[-1].loss for e in asked)


def test_what_is_asked_of_the_general_corpus_is_not_replayed() -> None:
    asked = {e.digest for e in old_abilities()["conversations"]}
    assert asked.isdisjoint(e.digest for e in general_examples())


def test_an_answer_is_given_when_greedy_decoding_writes_it(tmp_path: Path) -> None:
    """Against real generation: what the model generates is given, another ending is not."""
    folder = build_tiny_model(tmp_path, hidden=64, layers=2)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()
    renderer = Renderer(tokenizer)
    asked = Message(role="user", content="what is the weather")
    told = Message(role="assistant", content="fox", loss=True)
    example = Example(digest="d", kind="asked", messages=(asked, told), documents=())
    rendered = renderer(example)
    start = rendered.loss_mask.index(True)
    ids = torch.tensor([rendered.token_ids[:start]])
    with torch.no_grad():
        made = model.generate(ids, max_new_tokens=4, do_sample=False, eos_token_id=None)[0].tolist()
    mask = tuple(i >= start for i in range(len(made)))
    right = type(rendered)(tuple(made), mask)
    wrong = type(rendered)((*made[:-1], (made[-1] + 1) % 300), mask)
    assert given(model, [wrong, right, rendered]) == [False, True, False]


def test_a_run_is_worked_once_whoever_asks_and_half_a_line_is_passed_over(tmp_path: Path) -> None:
    path, worked = tmp_path / "runs.jsonl", []

    def work() -> dict[str, object]:
        worked.append(1)
        return {"new": len(worked)}

    assert Ledger(path).run({"arm": "a", "seed": 1}, work)["new"] == 1
    with path.open("a") as file:
        file.write('{"key": "half')
    again = Ledger(path)
    assert again.run({"seed": 1, "arm": "a"}, work)["new"] == 1
    assert again.run({"arm": "a", "seed": 2}, work)["new"] == 2
    beside = Ledger(path)
    assert again.run({"arm": "a", "seed": 3}, work)["new"] == 3
    assert beside.run({"arm": "a", "seed": 3}, work)["new"] == 3
    assert len([line for line in path.read_text().splitlines() if line.endswith("}")]) == 3
    path.write_text("{nothing}\n")
    with pytest.raises(ModelError, match="line 1"):
        Ledger(path)


def test_losses_average_what_the_base_can_and_count_gains_as_zero() -> None:
    before = {"a": 0.8, "b": 0.5, "weak": 0.1}
    signed, clipped = losses(before, {"a": 0.4, "b": 0.6, "weak": 0.0})
    assert signed == pytest.approx((0.5 - 0.2) / 2)
    assert clipped == pytest.approx(0.25)
    assert learned_of({"new": {"calls": 0.4, "facts": 1.0}}) == pytest.approx(0.7)


def test_intervals_are_students_t_over_seeds() -> None:
    """Of 1, 2, 3: mean 2, s = 1, half width 4.303 / sqrt(3)."""
    middle, low, high = interval([1.0, 2.0, 3.0])
    assert (middle, low, high) == pytest.approx((2.0, 2 - 2.4841, 2 + 2.4841), abs=1e-3)
    assert interval([0.5, 0.5]) == (0.5, 0.5, 0.5)


def compared(name: str, kept: list[float]) -> Compared:
    results = [{"new": {"calls": 0.7}, "old": {"a": value}} for value in kept]
    return Compared(name, "rank 16, adamw", 0.01, results)


def test_a_claim_holds_when_its_margin_lies_below_zero(tmp_path: Path) -> None:
    before = {"a": 1.0}
    little, much = compared("default", [0.97, 0.96, 0.98]), compared("LoRA", [0.8, 0.82, 0.78])
    claim = against(little, much, before, 0.5)
    assert claim["ratio"] == pytest.approx(0.03 / 0.2)
    assert claim["margin"][2] < 0
    assert against(much, little, before, 0.5)["margin"][1] > 0
    rows = [little.row(before), much.row(before)]
    text = markdown("Lost", ("method", "losses only"), [(r["arm"], r["losses_only"]) for r in rows])
    assert "| LoRA | 0.200 (0.150 to 0.250) |" in text
    draw_losses(rows, tmp_path / "losses.png")
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")


def test_every_arm_can_be_trained_at_every_rate() -> None:
    assert DEFAULT in ARMS
    assert len({arm.name for arm in ARMS}) == len(ARMS)
    for arm in ARMS:
        for rate in GRID:
            settings = arm.settings(rate, 3)
            assert (settings.learning_rate, settings.seed) == (rate, 3)
            assert bool(settings.replay_examples) == arm.replay
