"""GRPO on games of a source domain: a LoRA over theta_SFT that learns to use what that knows.

What the LoRA learns is the skill vector v = theta_RL - theta_SFT. On CPU the same settings give
the same bits, resumed or not. It makes no theta_SFT and saves no vector. Called by the recipe that
makes the vector.
"""

import json
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn

from adapt.loki.batches import collate, plan, prepare
from adapt.loki.training import fixed_arithmetic
from adapt.render import Rendered, Renderer
from adapt.skill.checkpoint import GrpoState, load_state, save_state
from adapt.skill.grpo import GrpoSettings, group_advantages, grpo_loss, reason_to_stop
from adapt.skill.policy import (
    divergence,
    logprobs,
    lora_over,
    reference_logprobs,
    tensors_of,
)
from adapt.skill.rollout import Rollout, Sampler, end_token, rollout
from adapt.skill.scenario import Scenario
from store.errors import StageError
from store.files import write_atomic
from store.records import Example, digest_of

Draw = Callable[[random.Random], Scenario]
"""Makes a scenario of the source domain, all randomness from the generator."""

__all__ = ["GrpoResult", "GrpoSettings", "train_skill"]


@dataclass(frozen=True)
class GrpoResult:
    """What a run gave."""

    tensors: dict[str, Tensor]
    """The LoRA, under PEFT's names."""
    curve: list[dict[str, float]]
    """One point per step: reward, solved, length, entropy, kl and more."""
    stopped: str
    """Why it ended before its last step; empty when it did not."""
    seconds: float


@dataclass
class _Run:
    """What stays fixed, and the state that moves."""

    policy: PeftModel
    weights: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    renderer: Renderer
    end: int
    draw: Draw
    settings: GrpoSettings
    replay: tuple[Rendered, ...] = ()
    identity: str = ""
    """Digest of everything that decides the result; a checkpoint of another run is ignored."""
    state: GrpoState = field(default_factory=GrpoState)


def train_skill(
    model: nn.Module,
    tokenizer: Any,
    draw: Draw,
    settings: GrpoSettings,
    *,
    sft_digest: str,
    start: Mapping[str, Tensor] | None = None,
    replay: Sequence[Example] = (),
    checkpoint_dir: Path | None = None,
    log_path: Path | None = None,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> GrpoResult:
    """Train a LoRA on `model` (theta_SFT, known by `sft_digest`) and give it back.

    `start` is the vector of the round before. On `replay`, conversations of other things, the
    policy is held to theta_SFT. `log_path` gets a JSON line per step, which `progress` gets too.
    With `checkpoint_dir` a killed run goes on there. The model is left as it was. Raises StageError
    when the policy collapses or a loss is no number, ModelError when `start` does not fit.
    """
    renderer = Renderer(tokenizer)
    end = end_token(renderer)
    with torch.random.fork_rng(), fixed_arithmetic(settings.threads):
        torch.manual_seed(settings.seed)
        with lora_over(model, settings.rank, start) as policy:
            weights = [p for p in policy.parameters() if p.requires_grad]
            optimizer = torch.optim.AdamW(weights, settings.learning_rate, weight_decay=0.0)
            held = tuple(prepare(renderer, replay, settings.max_length).sequences)
            run = _Run(
                policy, weights, optimizer, renderer, end, draw, settings, held,
            )  # fmt: skip
            run.identity = _identity(run, sft_digest)
            if checkpoint_dir:
                found = load_state(checkpoint_dir, run.identity, weights, optimizer)
                run.state = found or run.state
            stopped = _train(run, checkpoint_dir, log_path, progress)
            tensors = tensors_of(policy)
    return GrpoResult(tensors, run.state.curve, stopped, run.state.seconds)


def _train(
    run: _Run,
    checkpoint_dir: Path | None,
    log_path: Path | None,
    progress: Callable[[dict[str, float]], None] | None,
) -> str:
    state = run.state
    began = time.monotonic() - state.seconds
    if log_path:
        # Steps after the checkpoint are run again; twice in the log they would mislead.
        write_atomic(log_path, "".join(json.dumps(point) + "\n" for point in state.curve))
    while len(state.curve) < run.settings.steps:
        if reason := reason_to_stop(state.curve, run.settings.patience):
            return reason
        point = _step(run, len(state.curve))
        state.curve.append(point)
        state.seconds = time.monotonic() - began
        if log_path:
            with log_path.open("a") as file:
                file.write(json.dumps(point) + "\n")
        if progress:
            progress(point)
        if checkpoint_dir and len(state.curve) % run.settings.checkpoint_every == 0:
            save_state(checkpoint_dir, run.identity, state, run.weights, run.optimizer)
    return ""


def _step(run: _Run, step: int) -> dict[str, float]:
    """Play, then learn. Everything random follows from the seed and the step."""
    settings = run.settings
    clock = time.monotonic()
    rng = random.Random(f"{settings.seed}/{step}")
    scenarios = [run.draw(rng) for _ in range(settings.tasks_per_step)]
    device = run.weights[0].device
    generator = torch.Generator(device).manual_seed(rng.getrandbits(60))
    sampler = Sampler(
        run.policy, run.end, max_new_tokens=settings.max_new_tokens, generator=generator
    )
    games = [scenario.begin() for scenario in scenarios for _ in range(settings.group)]
    played = rollout(sampler, run.renderer, games, run.end, settings.max_length)
    outcomes = [r.outcome for r in played]
    rewards_P_G = torch.tensor([o.reward for o in outcomes]).view(len(scenarios), settings.group)
    advantages_P_G = group_advantages(rewards_P_G)
    sampled = time.monotonic() - clock
    learned = _learn(run, played, advantages_P_G.flatten().tolist(), step)
    count = len(outcomes)
    return {
        "step": step + 1,
        "reward": round(rewards_P_G.mean().item(), 4),
        "solved": round(sum(o.solved for o in outcomes) / count, 4),
        "calls": round(sum(o.calls for o in outcomes) / count, 3),
        "length": round(sum(len(r.logprobs) for r in played) / count, 2),
        "empty": round(sum(o.empty for o in outcomes) / count, 4),
        "spread": round((advantages_P_G != 0).any(1).float().mean().item(), 4),
        **learned,
        "rollout_seconds": round(sampled, 2),
        "seconds": round(time.monotonic() - clock, 2),
    }


def _learn(
    run: _Run, played: list[Rollout], advantages: list[float], step: int
) -> dict[str, float]:
    """Optimiser steps on the episodes that tell something; episodes without advantage do not."""
    settings = run.settings
    telling = [i for i, advantage in enumerate(advantages) if advantage]
    rng = random.Random(f"{settings.seed}/{step}/order")
    rng.shuffle(telling)
    rise = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    for group in run.optimizer.param_groups:
        group["lr"] = settings.learning_rate * rise
    sums: dict[str, float] = {"entropy": 0.0, "kl": 0.0, "clipped": 0.0}
    replayed = 0.0
    updates = min(settings.updates, len(telling))
    norm = torch.zeros(())
    for part in (telling[u::updates] for u in range(updates)):
        tokens = sum(len(played[i].logprobs) for i in part)
        lengths = [len(played[i].token_ids) for i in part]
        for rows in plan(lengths, settings.batch_tokens, settings.seed, step):
            chosen = [played[part[row]] for row in rows]
            weights = [advantages[part[row]] for row in rows]
            _backward(run, chosen, weights, tokens, sums)
        replayed += _hold(run, rng) / updates
        norm = nn.utils.clip_grad_norm_(run.weights, settings.grad_clip)
        if not math.isfinite(norm.item()):
            raise StageError(
                f"the gradient became {norm.item()} at step {step + 1}",
                f"lower the learning rate ({settings.learning_rate})",
            )
        run.optimizer.step()
        run.optimizer.zero_grad(set_to_none=True)
    count = max(1, sum(len(played[i].logprobs) for i in telling))
    return {name: round(value / count, 5) for name, value in sums.items()} | {
        "replay_kl": round(replayed, 5),
        "gradient": round(norm.item(), 4),
    }


def _hold(run: _Run, rng: random.Random) -> float:
    """Add the gradient of the divergence on some replayed conversations, and give it in nats."""
    count = min(run.settings.replay_examples, len(run.replay))
    if not count:
        return 0.0
    batch = collate(rng.sample(run.replay, count), run.weights[0].device)
    away = divergence(run.policy, batch)
    (run.settings.replay_weight * away).backward()
    return away.item()


def _backward(
    run: _Run, chosen: list[Rollout], advantages: list[float], tokens: int, sums: dict[str, float]
) -> None:
    """Add the gradient of some episodes; `tokens` are the own tokens of the whole update."""
    device = run.weights[0].device
    batch = collate([Rendered(r.token_ids, r.own) for r in chosen], device)
    old = torch.tensor([p for r in chosen for p in r.logprobs], device=device)
    repeats = torch.tensor([len(r.logprobs) for r in chosen], device=device)
    per_token = torch.tensor(advantages, device=device).repeat_interleave(repeats)
    new, entropy = logprobs(run.policy, batch)
    reference = reference_logprobs(run.policy, batch)
    loss = grpo_loss(new, old, reference, per_token, run.settings.clip, run.settings.kl)
    (loss.total / tokens).backward()
    sums["entropy"] += entropy.sum().item()
    sums["kl"] += loss.kl
    sums["clipped"] += loss.clipped


def _identity(run: _Run, sft_digest: str) -> str:
    """Digest of all that decides the result but the number of steps, so that more can be added."""
    settings = {k: v for k, v in asdict(run.settings).items() if k != "steps"}
    first = run.draw(random.Random(f"{run.settings.seed}/identity"))
    weights = b"".join(w.detach().cpu().numpy().tobytes() for w in run.weights)
    return digest_of(
        [
            settings,
            sft_digest,
            first.digest,
            digest_of(weights),
            digest_of([asdict(r) for r in run.replay]),
            torch.get_num_threads(),
        ]
    )
