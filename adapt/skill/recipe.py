"""Making a skill vector: per round, documents are learned, then games are played; v is carried on.

PaST's iterative refinement (arXiv 2601.11258): theta_SFT of every round is made from the base on a
part of the source of its own; RL starts from theta_SFT_k + v_(k-1), and v_k is the whole adapter.
What a part teaches by heart changes from round to round, what its use asks for does not. Measured
on scenarios of the source that RL never plays. Called by adapt.commands.skill and
adapt.reproduce.past.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn

from adapt.loki.batches import collate, plan, prepare
from adapt.render import Renderer
from adapt.skill.grpo import GrpoSettings
from adapt.skill.policy import logprobs, lora_over, reference_logprobs
from adapt.skill.rollout import Rollout, Sampler, end_token, rollout
from adapt.skill.scenario import Scenario
from adapt.skill.sft import Show, Workplace, learn
from adapt.skill.source import Part
from adapt.skill.train import train_skill

AT_ONCE = 64
"""Games played side by side when a model is measured."""


@dataclass(frozen=True)
class Round:
    """What one round did."""

    part: str
    before: float
    """Share of held-out scenarios solved by theta_SFT alone, greedily."""
    after: float
    """The same with the vector."""
    general_loss: tuple[float, float]
    """Nats per token on general conversations, without and with the vector."""
    curve: tuple[Mapping[str, float], ...]
    """One point per step: reward, solved, length, entropy, kl and more."""
    stopped: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """For the card."""
        return {
            "part": self.part, "solved_before": self.before, "solved_after": self.after,
            "general_loss": list(self.general_loss), "steps": len(self.curve),
            "stopped": self.stopped, "seconds": round(self.seconds),
            "reward_curve": [point["reward"] for point in self.curve],
            "solved_curve": [point["solved"] for point in self.curve],
        }  # fmt: skip


def train_rounds(
    place: Workplace,
    parts: Sequence[Part],
    settings: GrpoSettings,
    show: Show,
    *,
    held_out: int = 120,
    name: str = "skill",
    finished: Callable[[Round], None] | None = None,
) -> tuple[dict[str, Tensor], list[Round]]:
    """The vector after a round on every part, under PEFT's names, and what the rounds were.

    `finished` gets each round when it is over. A killed call goes on in the workplace's folder.
    Raises what `learn` and `train_skill` raise.
    """
    vector: dict[str, Tensor] | None = None
    rounds: list[Round] = []
    for number, part in enumerate(parts, 1):

        def said(text: str, at: str = f"round {number} of {len(parts)}: ") -> None:
            show(at + text)

        vector, told = _round(place, part, settings, vector, said, held_out, f"{name}-{number}")
        rounds.append(told)
        if finished:
            finished(told)
    assert vector is not None, "there is a part at least"
    return vector, rounds


def _round(
    place: Workplace, part: Part, settings: GrpoSettings, start: dict[str, Tensor] | None,
    show: Show, held_out: int, name: str,
) -> tuple[dict[str, Tensor], Round]:  # fmt: skip
    learned = learn(place, part.examples(place.seed), name, show)
    model, tokenizer = place.model(), place.tokenizer
    learned.put_into(model)
    asked = part.held_out(held_out)
    show(f"{len(asked)} held-out games before RL")
    before = solved(measure(model, tokenizer, asked, settings.max_new_tokens))
    result = train_skill(
        model, tokenizer, part.draw, settings,
        sft_digest=learned.digest, start=start, replay=place.general(),
        checkpoint_dir=place.work / f"{name}-grpo", log_path=place.work / f"{name}-grpo.jsonl",
        progress=lambda p: show(
            f"games, step {p['step']:.0f} of {settings.steps}: reward {p['reward']:.2f}, solved "
            f"{p['solved']:.0%}, {p['length']:.0f} tokens, entropy {p['entropy']:.3f}, KL "
            f"{p['kl']:.4f}"
        ),
    )  # fmt: skip
    with lora_over(model, settings.rank, result.tensors) as policy:
        show(f"{len(asked)} held-out games after RL")
        after = solved(measure(policy, tokenizer, asked, settings.max_new_tokens))
        costs = _general_loss(place, policy)
    return result.tensors, Round(
        part.name, before, after, costs, tuple(result.curve), result.stopped, result.seconds
    )


def measure(
    model: nn.Module, tokenizer: Any, asked: Sequence[Scenario], max_new_tokens: int = 96
) -> list[Rollout]:
    """Play every scenario once, greedily; in the order given."""
    renderer = Renderer(tokenizer)
    end = end_token(renderer)
    played: list[Rollout] = []
    for start in range(0, len(asked), AT_ONCE):
        games = [scenario.begin() for scenario in asked[start : start + AT_ONCE]]
        sampler = Sampler(model, end, temperature=0.0, max_new_tokens=max_new_tokens)
        played += rollout(sampler, renderer, games, end)
    return played


def solved(played: Sequence[Rollout]) -> float:
    """Share of games that were solved."""
    return round(sum(game.outcome.solved for game in played) / max(1, len(played)), 4)


@torch.no_grad()
def _general_loss(place: Workplace, policy: PeftModel) -> tuple[float, float]:
    """Mean loss on general conversations without and with the vector: what it costs elsewhere."""
    sequences = prepare(Renderer(place.tokenizer), place.general(200), 1024).sequences
    without, added, tokens = 0.0, 0.0, 0
    device = next(policy.parameters()).device
    for rows in plan([len(s.token_ids) for s in sequences], 8192, 0, 0):
        batch = collate([sequences[row] for row in rows], device)
        without -= reference_logprobs(policy, batch).sum().item()
        added -= logprobs(policy, batch)[0].sum().item()
        tokens += len(batch.targets)
    return round(without / tokens, 4), round(added / tokens, 4)
