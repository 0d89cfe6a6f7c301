"""GRPO (arXiv 2402.03300): its settings, its arithmetic, and when to stop.

Tensors and numbers in, numbers out: no model, no episodes. Called by adapt.skill.train.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from store.errors import ConfigError, StageError

_ALL_SOLVED = 0.95
_MOSTLY_EMPTY = 0.5


@dataclass(frozen=True)
class GrpoSettings:
    """How the policy is trained."""

    steps: int = 30
    tasks_per_step: int = 8
    group: int = 8
    """Episodes played of every task."""
    updates: int = 2
    """Optimiser steps on the episodes of one step."""
    learning_rate: float = 4e-3
    warmup: int = 3
    """Steps in which the rate rises."""
    clip: float = 0.2
    kl: float = 0.01
    """Weight of the pull towards theta_SFT."""
    replay_examples: int = 12
    """General conversations in every optimiser step, on which the policy is held to theta_SFT."""
    replay_weight: float = 4.0
    """Weight of their divergence. Without it, what the games do not play is lost: of open-book
    tasks a fifth (docs/results.md)."""
    rank: int = 8
    max_new_tokens: int = 96
    """Longest turn; a longer one is cut off and fails."""
    max_length: int = 1024
    batch_tokens: int = 8192
    """Padded tokens in one backward pass, at most."""
    grad_clip: float = 1.0
    patience: int = 5
    """Steps without reward spread, or with empty answers, after which training stops."""
    checkpoint_every: int = 1
    threads: int = 0
    """CPU threads; 0 leaves the process's own. The same bits need the same number."""
    seed: int = 0

    def __post_init__(self) -> None:
        least = {
            "group": 2, "patience": 2, "kl": 0, "warmup": 0, "threads": 0, "seed": 0,
            "replay_examples": 0, "replay_weight": 0,
        }  # fmt: skip
        for name, value in asdict(self).items():
            if name in least and value < least[name]:
                raise ConfigError(f"grpo {name} is {value}", f"at least {least[name]}")
            if name not in least and value <= 0:
                raise ConfigError(f"grpo {name} is {value}", "set it above 0")


@dataclass(frozen=True)
class Loss:
    """One loss and what to watch. All are sums over tokens; divide by the tokens of the step."""

    total: Tensor
    """Scalar with a gradient."""
    kl: float
    clipped: float
    """Tokens at which the clip is what counts."""


def group_advantages(rewards_P_G: Tensor) -> Tensor:
    """Advantages [P, G]: each reward against its own group's mean, in standard deviations.

    A group without spread has advantage zero throughout.
    """
    centred = rewards_P_G - rewards_P_G.mean(1, keepdim=True)
    spread = rewards_P_G.std(1, correction=0, keepdim=True)
    return torch.where(spread > 1e-6, centred / spread.clamp(min=1e-6), torch.zeros_like(centred))


def grpo_loss(
    new_K: Tensor, old_K: Tensor, reference_K: Tensor, advantages_K: Tensor, clip: float, kl: float
) -> Loss:
    """Clipped policy loss plus `kl` times the k3 estimate of KL(new || reference), summed.

    All inputs are per token [K]: log-probabilities under the policy being trained, the one that
    drew the tokens and the reference; and the advantage of the token's episode.
    """
    ratio = (new_K - old_K).exp()
    plain = ratio * advantages_K
    limited = ratio.clamp(1 - clip, 1 + clip) * advantages_K
    away = reference_K - new_K
    k3 = away.exp() - away - 1
    total = (kl * k3 - torch.minimum(plain, limited)).sum()
    return Loss(total, k3.sum().item(), (limited < plain).sum().item())


def reason_to_stop(curve: Sequence[Mapping[str, float]], patience: int) -> str | None:
    """Why training is over although steps are left; None to go on.

    `curve` has `spread` (share of groups whose rewards differ), `solved` and `empty` (shares of
    episodes) of every step. Raises StageError when the policy has collapsed.
    """
    last = curve[-patience:]
    if len(last) < patience:
        return None
    if all(point["empty"] > _MOSTLY_EMPTY for point in last):
        raise StageError(
            f"for {patience} steps most answers have been empty: the policy has collapsed",
            "lower the learning rate, or raise the weight of the KL term",
        )
    if any(point["spread"] > 0 for point in last):
        return None
    solved = sum(point["solved"] for point in last) / patience
    if solved >= _ALL_SOLVED:
        return f"all episodes of {patience} steps were solved: nothing is left to learn"
    raise StageError(
        f"for {patience} steps the rewards within every group were equal, with {solved:.0%} solved:"
        " there is nothing to learn from",
        "check that the source documents were learned first, or raise the group size",
    )
