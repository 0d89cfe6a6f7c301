"""Examples as padded batches of token ids, in a seeded order.

Lengths are kept together so that little is padding; the order of batches is shuffled anew each
epoch from (seed, epoch) alone, so that a resumed run needs no generator state. It trains nothing.
Called by adapt.loki.implant and adapt.stages.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapt.render import Rendered, Renderer
from store.records import Example

_BUCKET = 8


@dataclass(frozen=True)
class Prepared:
    """Sequences ready to train on, and how many examples were too long or had no loss."""

    sequences: tuple[Rendered, ...]
    skipped: int


@dataclass(frozen=True)
class Batch:
    """N sequences of T positions, padded on the right, where causal attention never looks."""

    ids: Tensor
    """int64 [N, T]."""
    positions: Tensor
    """int64 [K]: flat positions (n * T + t) whose next token carries loss."""
    targets: Tensor
    """int64 [K]: those next tokens."""
    first: Tensor
    """bool [K]: whether the next token begins an answer."""
    tokens: int
    """Real tokens, padding not counted."""


def prepare(renderer: Renderer, examples: Sequence[Example], max_length: int) -> Prepared:
    """Render all; what follows the last token with loss is cut off, since nothing depends on it.

    An example that is longer than `max_length` is left out and counted, never cut: a cut answer
    would be learned as a whole one.
    """
    kept = []
    for example in examples:
        rendered = renderer(example)
        end = max((i + 1 for i, loss in enumerate(rendered.loss_mask) if loss), default=0)
        # The first token is predicted by nothing; alone it carries no loss.
        if 1 < end <= max_length and any(rendered.loss_mask[1:end]):
            kept.append(Rendered(rendered.token_ids[:end], rendered.loss_mask[:end]))
    return Prepared(tuple(kept), len(examples) - len(kept))


def plan(
    lengths: Sequence[int], budget: int, seed: int, epoch: int, most: int | None = None
) -> list[list[int]]:
    """Batches of indices for one epoch: each index once, padded size at most `budget` tokens.

    A sequence longer than the budget makes a batch of its own. At most `most` sequences make a
    batch: without it, all short answers share one step an epoch and are hardly learned.
    """
    # A string seeds through SHA-512 and so gives the same order on every machine.
    generator = random.Random(f"{seed}/{epoch}")
    order = list(range(len(lengths)))
    generator.shuffle(order)
    order.sort(key=lambda i: lengths[i] // _BUCKET)
    batches: list[list[int]] = []
    longest = 0
    for index in order:
        longest = max(longest, lengths[index])
        full = not batches or len(batches[-1]) == most
        if full or longest * (len(batches[-1]) + 1) > budget:
            batches.append([])
            longest = lengths[index]
        batches[-1].append(index)
    generator.shuffle(batches)
    return batches


def plan_replay(lengths: Sequence[int], per_step: int, steps: int, seed: int) -> list[list[int]]:
    """Indices of `per_step` sequences for each step; none comes again before all have come once.

    Lengths are kept together within a few steps' worth, so that little is padding.
    """
    generator = random.Random(f"{seed}/replay")
    order: list[int] = []
    while len(order) < per_step * steps:
        once = list(range(len(lengths)))
        generator.shuffle(once)
        order += once
    batches: list[list[int]] = []
    span = per_step * _BUCKET
    for start in range(0, per_step * steps, span):
        near = sorted(order[start : start + span], key=lambda i: lengths[i])
        made = [near[i : i + per_step] for i in range(0, len(near), per_step)]
        generator.shuffle(made)
        batches += made
    return batches[:steps]


def collate(sequences: Sequence[Rendered], device: torch.device | str = "cpu") -> Batch:
    """One padded batch on `device`."""
    width = max(len(sequence.token_ids) for sequence in sequences)
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    mask = torch.zeros(len(sequences), width, dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        length = len(sequence.token_ids)
        ids[row, :length] = torch.tensor(sequence.token_ids)
        mask[row, :length] = torch.tensor(sequence.loss_mask)
    mask[:, 0] = False
    before = mask.roll(1, dims=1)
    before[:, 0] = False
    places = mask.flatten().nonzero()[:, 0]
    return Batch(
        ids=ids.to(device),
        positions=(places - 1).to(device),
        targets=ids.flatten()[places].to(device),
        first=(mask & ~before).flatten()[places].to(device),
        tokens=sum(len(sequence.token_ids) for sequence in sequences),
    )


def cut_prompts(
    sequences: Sequence[Rendered], seed: int, max_length: int
) -> tuple[tuple[int, ...], ...]:
    """Prompts for attribution: each sequence up to a seeded random place within its answers.

    The model then predicts a token of an answer, not always the first. A sequence without loss
    tokens is cut anywhere; at most the last `max_length` tokens are kept.
    """
    generator = random.Random(f"{seed}/cut")
    prompts = []
    for sequence in sequences:
        places = [i for i, loss in enumerate(sequence.loss_mask) if loss and i > 0]
        end = generator.choice(places or range(1, len(sequence.token_ids) + 1))
        prompts.append(sequence.token_ids[:end][-max_length:])
    return tuple(prompts)
