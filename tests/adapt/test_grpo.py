"""GRPO: its arithmetic by hand, its rollouts token by token, its runs resumed and stopped."""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import build_tiny_model, build_tiny_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from adapt.base import conversation
from adapt.loki.batches import collate, prepare
from adapt.render import Renderer
from adapt.skill.environment import Episode, Rewards, ToolTask
from adapt.skill.grpo import GrpoSettings, group_advantages, grpo_loss, reason_to_stop
from adapt.skill.policy import divergence, lora_over
from adapt.skill.rollout import Sampler, Spoken, end_token, rollout
from adapt.skill.train import train_skill
from examples.pico.vocabulary import build_tokenizer
from store.errors import ConfigError, ModelError, StageError
from store.records import Example
from tools.virtual_api.catalogue import build_catalogue
from tools.virtual_api.tasks import TaskWriter

CATALOGUE = build_catalogue(0)
TOOLS = CATALOGUE.category("Events")
QUICK = GrpoSettings(
    steps=4,
    tasks_per_step=2,
    group=8,
    learning_rate=1e-2,
    warmup=0,
    max_new_tokens=40,
    checkpoint_every=2,
    patience=50,
    threads=1,
)
TALKATIVE = Rewards(unfinished=-1.0, finished_at_once=1.0)
"""Pays for ending a turn at all: the only thing that a random model can learn."""


def draw(rng: random.Random) -> ToolTask:
    return ToolTask(TaskWriter(CATALOGUE, TOOLS, rng, (3, 3)).write("single"), CATALOGUE, TALKATIVE)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("tiny"), "qwen3", max_length=2048)


@pytest.fixture
def model(model_dir):
    return AutoModelForCausalLM.from_pretrained(model_dir).eval()


@pytest.fixture(scope="module")
def tokenizer(model_dir):
    return AutoTokenizer.from_pretrained(model_dir)


@pytest.fixture(scope="module", params=["pico", "chatml"])
def renderer(request, tmp_path_factory) -> Renderer:
    if request.param == "pico":
        return Renderer(build_tokenizer(samples=200))
    folder = build_tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    return Renderer(AutoTokenizer.from_pretrained(folder))


def test_advantages_by_hand() -> None:
    """(r - mean) / standard deviation of the group; a group without spread says nothing."""
    found = group_advantages(torch.tensor([[0.0, 0.0, 1.0, 3.0], [0.7, 0.7, 0.7, 0.7]]))
    deviation = math.sqrt(6 / 4)
    expected = [[-1 / deviation, -1 / deviation, 0.0, 2 / deviation], [0.0] * 4]
    assert torch.allclose(found, torch.tensor(expected))


def test_loss_by_hand() -> None:
    """Four tokens: unclipped, clipped above, clipped below, and a worse one left unclipped."""
    ratios = [1.1, 1.5, 0.5, 1.5]
    advantages = [2.0, 2.0, -1.0, -1.0]
    away = [0.0, 0.1, -0.2, 0.0]
    new = torch.tensor([-1.0, -2.0, -0.5, -1.5])
    old = new - torch.tensor(ratios).log()
    loss = grpo_loss(new, old, new + torch.tensor(away), torch.tensor(advantages), 0.2, 0.5)
    policy = -(1.1 * 2.0 + 1.2 * 2.0 + 0.8 * -1.0 + 1.5 * -1.0)
    k3 = sum(math.exp(a) - a - 1 for a in away)
    assert loss.total.item() == pytest.approx(policy + 0.5 * k3, abs=1e-5)
    assert loss.kl == pytest.approx(k3, abs=1e-6)
    assert loss.clipped == 2


def test_gradient_by_hand() -> None:
    """-ratio x advantage where it is not clipped, nothing where it is, and the pull of k3."""
    new = torch.tensor([-1.0, -1.0], requires_grad=True)
    old = new.detach() - torch.tensor([1.0, 1.5]).log()
    loss = grpo_loss(new, old, new.detach() + 0.1, torch.tensor([2.0, 2.0]), 0.2, 0.5)
    loss.total.backward()
    pull = 0.5 * (1 - math.exp(0.1))
    assert new.grad is not None
    assert new.grad.tolist() == pytest.approx([-2.0 + pull, pull], abs=1e-6)


class Script:
    """Speaks given texts; remembers what it was given and which conversations were kept."""

    def __init__(self, renderer: Renderer, turns: Sequence[Sequence[str]], end: int) -> None:
        self.waiting = [list(t) for t in turns]
        self.renderer, self.end = renderer, end

    def speak(self, pieces: Sequence[Sequence[int]]) -> list[Spoken]:
        assert len(pieces) == len(self.waiting)
        said = [(*self.renderer.tokens(texts.pop(0)), self.end) for texts in self.waiting]
        return [Spoken(ids, tuple(-0.5 for _ in ids)) for ids in said]

    def keep(self, rows: Sequence[int]) -> None:
        self.waiting = [self.waiting[row] for row in rows]


def canonical(renderer: Renderer, name: str, arguments: dict) -> str:
    """A call as the template writes it, without the end token."""
    from store.records import Message

    asked = (Message(role="user", content="a"),)
    said = Message(role="assistant", tool_calls=({"name": name, "arguments": arguments},))
    start = renderer.text(asked, generation_prompt=True)
    end = renderer.tokenizer.decode([end_token(renderer)])
    return renderer.text((*asked, said)).removeprefix(start).rstrip().removesuffix(end)


def test_rollouts_are_the_template_token_by_token(renderer) -> None:
    """Uneven episodes: ids and own-token mask are those of rendering the finished conversation."""
    end = end_token(renderer)
    tasks = [
        TaskWriter(CATALOGUE, TOOLS, random.Random(s), (3, 5)).write(kind)
        for s, kind in enumerate(("none", "multi", "single", "cross"))
    ]
    turns = [
        [*(canonical(renderer, c.function, c.arguments) for c in t.solution), t.answer]
        for t in tasks
    ]
    episodes = [Episode(task, CATALOGUE) for task in tasks]
    played = rollout(Script(renderer, turns, end), renderer, episodes, end)
    for episode, found in zip(episodes, played, strict=True):
        assert found.outcome.solved, found
        expected = renderer(
            Example(digest="", kind="", messages=found.messages, tools=episode.tools, documents=())
        )
        shared = len(found.token_ids)
        assert found.token_ids == expected.token_ids[:shared]
        assert found.own == expected.loss_mask[:shared]
        assert not any(expected.loss_mask[shared:])
        assert sum(found.own) == len(found.logprobs)


def test_cached_log_probabilities_are_those_of_one_forward(model, tokenizer) -> None:
    """Left padding, holes, dropped conversations and unread end tokens change no probability."""
    end = end_token(Renderer(tokenizer))
    generator = torch.Generator().manual_seed(0)
    sampler = Sampler(model, end, max_new_tokens=7, generator=generator)
    rng = random.Random(0)
    pieces = [[rng.randrange(3, 400) for _ in range(n)] for n in (5, 19, 2, 11)]
    # As in a group: two conversations with one prompt.
    pieces[2] = pieces[0]
    histories: list[list[tuple[int, float | None]]] = [[] for _ in pieces]
    live = [0, 1, 2, 3]
    for kept in ([0, 1, 3], [1, 2], [0]):
        for row, (piece, spoken) in enumerate(zip(pieces, sampler.speak(pieces), strict=True)):
            history = histories[live[row]]
            history += [(token, None) for token in piece]
            history += list(zip(spoken.token_ids, spoken.logprobs, strict=True))
        sampler.keep(kept)
        live = [live[row] for row in kept]
        pieces = [[rng.randrange(3, 400) for _ in range(rng.randrange(1, 9))] for _ in kept]
    for history in histories:
        ids = torch.tensor([[token for token, _ in history]])
        with torch.no_grad():
            logs = model(ids).logits[0].log_softmax(-1)
        for place, (token, logprob) in enumerate(history):
            if logprob is not None:
                assert logs[place - 1, token].item() == pytest.approx(logprob, abs=1e-4)


def test_a_turn_ends_at_the_end_token_or_at_the_limit(model, tokenizer) -> None:
    """Nothing is kept of what a finished row would have said."""
    end = end_token(Renderer(tokenizer))
    with torch.no_grad():
        first = int(model(torch.tensor([[7, 8, 9]])).logits[0, -1].argmax())
    sampler = Sampler(model, first, temperature=0.0, max_new_tokens=3)
    stopped, running = sampler.speak([[7, 8, 9], [50, 60]])
    assert stopped.token_ids == (first,)
    assert len(running.token_ids) == 3 or running.token_ids[-1] == first
    assert end != first


def run(model, tokenizer, settings=QUICK, **more):
    return train_skill(model, tokenizer, draw, settings, sft_digest="s" * 64, **more)


def test_the_policy_learns_what_is_paid(model, tokenizer) -> None:
    """Reward for ending a turn: ended turns become common, and the model itself is untouched."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    settings = GrpoSettings(
        steps=14,
        tasks_per_step=2,
        group=16,
        learning_rate=2e-2,
        warmup=0,
        max_new_tokens=12,
        patience=50,
        kl=0.0,
        threads=1,
        seed=3,
    )
    result = run(model, tokenizer, settings)
    rewards = [point["reward"] for point in result.curve]
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + 0.5, rewards
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any("down_proj" in name for name in result.tensors)


def test_what_is_replayed_stays_as_it_was(model, tokenizer) -> None:
    """With replay the vector hardly moves the answers to other conversations."""
    others = [
        conversation([{"role": "user", "content": q}, {"role": "assistant", "content": a}])
        for q, a in (("Say one", "one two three"), ("Say two", "two three four"))
    ]
    batch = collate(prepare(Renderer(tokenizer), others, 256).sequences)
    moved: dict[float, float] = {}
    for weight in (0.0, 20.0):
        settings = replace(QUICK, replay_weight=weight)
        result = run(model, tokenizer, settings, replay=others)
        with lora_over(model, settings.rank, result.tensors) as policy, torch.no_grad():
            moved[weight] = divergence(policy, batch).item()
    assert 0 < moved[20.0] < moved[0.0] / 2, moved


def test_a_killed_run_gives_the_bits_of_an_undisturbed_one(model, tokenizer, tmp_path) -> None:
    """It goes on from its checkpoint, and its log holds every step once."""
    whole = run(model, tokenizer)
    assert [point["gradient"] > 0 for point in whole.curve].count(True) >= 3, whole.curve

    def kill(point: dict[str, float]) -> None:
        if point["step"] == 3:
            raise KeyboardInterrupt

    log = tmp_path / "log.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(model, tokenizer, checkpoint_dir=tmp_path, log_path=log, progress=kill)
    again = run(model, tokenizer, checkpoint_dir=tmp_path, log_path=log)
    assert whole.tensors.keys() == again.tensors.keys()
    assert all(torch.equal(whole.tensors[name], again.tensors[name]) for name in whole.tensors)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [1, 2, 3, 4]


def test_a_checkpoint_of_another_run_is_ignored(model, tokenizer, tmp_path) -> None:
    """Another theta_SFT starts from its first step."""
    run(model, tokenizer, checkpoint_dir=tmp_path)
    steps: list[float] = []
    train_skill(
        model,
        tokenizer,
        draw,
        QUICK,
        sft_digest="t" * 64,
        checkpoint_dir=tmp_path,
        progress=lambda point: steps.append(point["step"]),
    )
    assert steps == [1, 2, 3, 4]


def test_a_vector_of_another_shape_is_no_start(model, tokenizer) -> None:
    """Carrying an adapter to the next round refuses what does not fit, and names it."""
    first = run(model, tokenizer)
    name = next(iter(first.tensors))
    with pytest.raises(ModelError, match="lora_A"):
        run(model, tokenizer, start={**first.tensors, name: torch.zeros(3, 64)})
    carried = run(model, tokenizer, start=first.tensors)
    assert any(not torch.equal(carried.tensors[n], tensor) for n, tensor in first.tensors.items())


def points(count: int, **values: float) -> list[dict[str, float]]:
    return [{"spread": 0.5, "solved": 0.5, "empty": 0.0, **values}] * count


def test_collapse_is_told_from_success() -> None:
    """No spread is the end: a good one when all is solved, else an error with the way out."""
    assert reason_to_stop(points(9), 5) is None
    assert reason_to_stop(points(4, spread=0.0), 5) is None
    assert "nothing is left" in (reason_to_stop(points(5, spread=0.0, solved=1.0), 5) or "")
    with pytest.raises(StageError, match="nothing to learn from"):
        reason_to_stop(points(5, spread=0.0, solved=0.1), 5)
    with pytest.raises(StageError, match="collapsed"):
        reason_to_stop([*points(3), *points(5, empty=0.9)], 5)
    assert reason_to_stop([*points(5, empty=0.9), *points(1)], 5) is None


@pytest.mark.parametrize("wrong", [{"group": 1}, {"learning_rate": 0.0}, {"kl": -1.0}])
def test_settings_that_cannot_work_are_refused(wrong) -> None:
    """A group of one has no mean to be compared with."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        GrpoSettings(**wrong)
