"""How many reference answers a model would give word for word, without generating any.

An answer is given when every one of its tokens is the likeliest after those before it: then greedy
decoding writes exactly this answer. Called by adapt.reproduce.loki.
"""

from collections.abc import Sequence

import torch
from torch import nn

from adapt.loki.batches import collate, in_budget
from adapt.loki.packing import packed_hidden
from adapt.render import Rendered

_TOKENS = 4096
"""Tokens per pass."""


@torch.no_grad()
def given(model: nn.Module, sequences: Sequence[Rendered]) -> list[bool]:
    """For each sequence, whether greedy decoding gives all of its tokens with loss."""
    lengths = [len(sequence.token_ids) for sequence in sequences]
    found = [False] * len(sequences)
    device = next(model.parameters()).device
    for indices in in_budget(lengths, _TOKENS):
        batch = collate([sequences[i] for i in indices], device)
        hidden = packed_hidden(model, batch.ids, batch.packing).index_select(0, batch.positions)
        right = model.get_submodule("lm_head")(hidden).argmax(-1) == batch.targets
        for index, part in zip(indices, right.split(batch.counts), strict=True):
            found[index] = bool(part.all())
    return found
