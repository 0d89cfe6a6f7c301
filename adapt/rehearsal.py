"""What an update trains on again of what earlier ones taught.

Holding to a version's answers keeps its mistakes too, and after ten updates little of the first is
left (docs/results.md); so earlier examples are learned again beside new ones. Called by
adapt.cycle_learning and adapt.reproduce.loki.
"""

import random
from collections.abc import Sequence

from store.records import Example


def rehearsed(
    new: Sequence[Example], earlier: Sequence[Example], epochs: int, seed: str
) -> list[Example]:
    """A seeded sample of earlier examples, as many for every epoch as there are new ones.

    Others in every epoch keep more than the same ones again, and training takes at most twice the
    time, however much was learned before.
    """
    return random.Random(seed).sample(list(earlier), min(len(earlier), epochs * len(new)))
