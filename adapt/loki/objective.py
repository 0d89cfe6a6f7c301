"""What a step minimises, and what is measured on examples that are held out.

New examples count by cross-entropy, replayed ones by their divergence from the model as it came
(learning without forgetting, arXiv 1606.09282). It takes no step. Called by
adapt.loki.training.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from adapt.loki.batches import Batch, collate, in_budget
from adapt.loki.run import Run
from adapt.loki.settings import ImplantSettings

READ_TOKENS = 4096
"""Tokens per pass when nothing is trained."""


@dataclass(frozen=True)
class Part:
    """What goes through the model at once: new examples, and behind them replayed ones."""

    batch: Batch
    new: int
    """Of the batch's K tokens with loss, so many are of new examples."""
    again: list[int]
    """The replayed ones, as indices into `Run.replay`."""
    weights: Tensor
    """[K]: the first token of an answer counts `first_token_weight`, the others 1."""


def parts_of(run: Run, indices: Sequence[int], again: Sequence[int]) -> list[Part]:
    """A step's examples in at most `accumulate` parts, each with its share of both kinds."""
    found = []
    wanted = run.settings.accumulate
    for start in range(wanted):
        mine, replayed = list(indices[start::wanted]), list(again[start::wanted])
        if mine or replayed:
            sequences = [run.train.sequences[i] for i in mine]
            known = [run.replay.sequences[i] for i in replayed]
            batch = collate([*sequences, *known], run.device)
            new = sum(batch.counts[: len(mine)])
            found.append(Part(batch, new, replayed, _weights(batch.first, run.settings)))
    return found


def accumulate(run: Run, parts: Sequence[Part]) -> float:
    """Add the gradients of a step's whole objective; returns the new examples' mean loss.

    Each part's sums are divided by the weights of all parts, which makes them the whole step's.
    """
    new, old = (
        torch.stack([part.weights[place].sum() for part, place in zip(parts, places, strict=True)])
        for places in (
            [slice(part.new) for part in parts],
            [slice(part.new, None) for part in parts],
        )
    )
    losses = []
    for part in parts:
        logits = run.logits(run.hidden(part.batch))
        mine, targets = logits[: part.new], part.batch.targets[: part.new]
        each = functional.cross_entropy(mine, targets, reduction="none")
        loss = (each * part.weights[: part.new]).sum() / new.sum()
        total = loss
        if part.again:
            moved = _divergence(run.logits_before(part.again), logits[part.new :])
            moved = (moved * part.weights[part.new :]).sum() / old.sum()
            total = loss + run.settings.replay_weight * moved
        total.backward()
        losses.append(loss.detach())
    return torch.stack(losses).sum().item()


@torch.no_grad()
def held_out_loss(run: Run) -> float:
    """Mean cross-entropy in nats of the held-out examples' tokens with loss."""
    total, count = 0.0, 0
    lengths = [len(sequence.token_ids) for sequence in run.held_out.sequences]
    for indices in in_budget(lengths, READ_TOKENS):
        batch = collate([run.held_out.sequences[i] for i in indices], run.device)
        logits = run.logits(run.hidden(batch))
        total += functional.cross_entropy(logits, batch.targets, reduction="sum").item()
        count += len(batch.targets)
    return total / count


def _divergence(before: Tensor, logits: Tensor) -> Tensor:
    """KL(model as it came || model now) in nats, [K] of two [K, vocabulary]."""
    with torch.no_grad():
        old = before.log_softmax(-1)
    now = logits.log_softmax(-1)
    return functional.kl_div(now, old, log_target=True, reduction="none").sum(-1)


def _weights(first: Tensor, settings: ImplantSettings) -> Tensor:
    return torch.where(first, settings.first_token_weight, 1.0)
