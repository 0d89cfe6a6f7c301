"""Which functions an item offers where its benchmark's whole catalogue would not fit a prompt.

The wanted ones and others drawn by a seed, so that an item offers the same ones in every run.
Called by the loaders of such benchmarks.
"""

from collections.abc import Collection, Iterable, Sequence
from random import Random


def offered(
    wanted: Iterable[str],
    catalogue: Sequence[str],
    count: int,
    seed: str,
    never: Collection[str] = (),
) -> list[str]:
    """The wanted names among others of the catalogue, `count` in all, in an order of no meaning.

    More where more are wanted, fewer where the catalogue is small. Names in `never` are not drawn.
    """
    chosen = list(dict.fromkeys(wanted))
    taken = {*chosen, *never}
    # A text seeds by its hash, which is the same on every machine.
    draw = Random(seed)
    drawn = draw.sample(catalogue, min(len(catalogue), count + len(taken)))
    rest = [name for name in drawn if name not in taken]
    chosen += rest[: max(0, count - len(chosen))]
    draw.shuffle(chosen)
    return chosen
