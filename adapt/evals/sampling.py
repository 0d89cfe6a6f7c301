"""A small part of a suite that stands for all of it: every slice has its share.

Draws the same items each time and knows nothing of scores. Called by adapt.evals.runs.named.
"""

from collections.abc import Sequence

from adapt.evals.benchmarks import by_slice
from adapt.evals.items import Item
from store.records import digest_of

SEED = 0


def sampled(items: Sequence[Item], count: int | None) -> list[Item]:
    """`count` items in their order, all of them where there are no more or `count` is None.

    Slices have shares in proportion, rounded by largest remainders. Within a slice the items are
    drawn by the names that their benchmark gives them: what is drawn is the same under other
    settings, and hardly changes where items are added.
    """
    if count is None or count >= len(items):
        return list(items)
    shares = _shares(by_slice(items), count)
    ranked = sorted(range(len(items)), key=lambda place: _rank(items[place]))
    chosen: list[int] = []
    for place in ranked:
        if shares[items[place].slice]:
            shares[items[place].slice] -= 1
            chosen.append(place)
    return [items[place] for place in sorted(chosen)]


def _rank(item: Item) -> str:
    return digest_of([SEED, item.name or item.digest])


def _shares(sizes: dict[str, int], count: int) -> dict[str, int]:
    """Whole numbers that add up to `count`, at most `sizes` each. In integers: sums of fractions
    may be off by one."""
    total = sum(sizes.values())
    shares = {name: count * size // total for name, size in sizes.items()}
    by_rest = sorted(sizes, key=lambda name: -(count * sizes[name] % total))
    for name in by_rest[: count - sum(shares.values())]:
        shares[name] += 1
    return shares
