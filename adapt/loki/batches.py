"""Examples as batches of token ids, in a seeded order.

Lengths are kept together so that attention wastes little; the order of batches is shuffled anew
each epoch from (seed, epoch) alone, so that a resumed run needs no generator state. It trains
nothing. Called by adapt.loki, adapt.skill and adapt.stages.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapt.loki.packing import Packing, pack
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
    """Sequences behind one another, and their K tokens that carry loss."""

    ids: Tensor
    """int64 [1, total]."""
    packing: Packing
    positions: Tensor
    """int64 [K]: places in the row whose next token carries loss."""
    targets: Tensor
    """int64 [K]: those next tokens."""
    first: Tensor
    """bool [K]: whether the next token begins an answer."""
    counts: tuple[int, ...]
    """Tokens with loss of each sequence, K in all."""

    @property
    def tokens(self) -> int:
        """Tokens of all sequences."""
        return self.packing.total


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
    """Batches of indices for one epoch: each index once, at most `budget` tokens a batch.

    A sequence longer than the budget makes a batch of its own. At most `most` sequences make a
    batch: without it, all short answers share one step an epoch and are hardly learned.
    """
    # A string seeds through SHA-512 and so gives the same order on every machine.
    generator = random.Random(f"{seed}/{epoch}")
    order = list(range(len(lengths)))
    generator.shuffle(order)
    order.sort(key=lambda i: lengths[i] // _BUCKET)
    batches = _filled(order, lengths, budget, most)
    generator.shuffle(batches)
    return batches


def of_epoch(new: int, again: int, epoch: int) -> list[int]:
    """Indices that one epoch trains on, of `new` examples followed by `again` earlier ones: all
    that is new, and as many earlier, none of which comes twice before all have come once."""
    count = min(new, again)
    start = epoch * count
    return [*range(new), *(new + (start + place) % again for place in range(count))]


def in_budget(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Batches of indices from short to long, at most `budget` tokens each, for reading only."""
    return _filled(sorted(range(len(lengths)), key=lambda i: (lengths[i], i)), lengths, budget)


def _filled(
    order: Sequence[int], lengths: Sequence[int], budget: int, most: int | None = None
) -> list[list[int]]:
    batches: list[list[int]] = []
    tokens = 0
    for index in order:
        full = not batches or len(batches[-1]) == most
        if full or tokens + lengths[index] > budget:
            batches.append([])
            tokens = 0
        tokens += lengths[index]
        batches[-1].append(index)
    return batches


def plan_replay(count: int, per_step: int, steps: int, seed: int) -> list[list[int]]:
    """Indices of `per_step` of `count` sequences for each step; none comes again before all have
    come once. Of all lengths in every step: together, long ones would be kept at the price of the
    short (docs/results.md)."""
    generator = random.Random(f"{seed}/replay")
    order: list[int] = []
    while len(order) < per_step * steps:
        once = list(range(count))
        generator.shuffle(once)
        order += once
    return [order[step * per_step : (step + 1) * per_step] for step in range(steps)]


def collate(sequences: Sequence[Rendered], device: torch.device | str = "cpu") -> Batch:
    """One packed batch on `device`. The first token of a sequence is predicted by nothing."""
    ids: list[int] = []
    positions: list[int] = []
    first: list[bool] = []
    counts: list[int] = []
    for sequence in sequences:
        mask = sequence.loss_mask
        places = [i for i in range(1, len(mask)) if mask[i]]
        positions += [len(ids) + i - 1 for i in places]
        first += [i == 1 or not mask[i - 1] for i in places]
        counts.append(len(places))
        ids += sequence.token_ids
    row = torch.tensor([ids])
    chosen = torch.tensor(positions, dtype=torch.long)
    return Batch(
        ids=row.to(device),
        packing=pack([len(sequence.token_ids) for sequence in sequences], device),
        positions=chosen.to(device),
        targets=row[0, chosen + 1].to(device),
        first=torch.tensor(first, dtype=torch.bool, device=device),
        counts=tuple(counts),
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
