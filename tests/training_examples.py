"""Examples, a mask and settings for training a tiny model of 2 layers and width 64 in seconds.

Called by the tests of training only.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from adapt.loki.selection import Mask
from adapt.loki.settings import ImplantSettings
from adapt.render import Rendered
from store.records import Example, Message, digest_of

MASK = Mask(((1, 5, 30), (0, 2, 63)), 64, 5.0, "lowest", "b" * 64, "c" * 64)
QUICK = ImplantSettings(
    epochs=3,
    learning_rate=5e-3,
    batch_tokens=200,
    checkpoint_every=4,
    threads=1,
    precision="float32",
)


def example(index: int) -> Example:
    messages = (
        Message(role="user", content=f"what is number {index}"),
        Message(
            role="assistant", content=f"the answer is {index * index} " * (1 + index % 3), loss=True
        ),
    )
    return Example(
        digest=digest_of(index), kind="qa", messages=messages, documents=("d",), split="train"
    )


EXAMPLES = [example(index) for index in range(20)]


def plain_logits(model: Any, sequences: Sequence[Rendered]) -> Tensor:
    """Each sequence run alone: logits [K, vocabulary] where a token with loss comes next."""
    found = []
    for sequence in sequences:
        logits = model(input_ids=torch.tensor([sequence.token_ids])).logits[0]
        found.append(logits[:-1][torch.tensor(sequence.loss_mask[1:])])
    return torch.cat(found)
