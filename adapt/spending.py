"""How much of the promised error each update may spend: alpha over a year of nightly updates.

The promise is on the false discovery rate: of the updates that were promoted, at most a share
alpha is expected to be false (not better on what is new, or worse by more than the margin on what
was known). Each update is judged at its own level; the levels spent so far never exceed alpha times
the promotions so far (at least one), the condition of Ramdas, Yang, Wainwright and Jordan 2017
(arXiv 1710.00499). The level rises with every promotion and depends on nothing but earlier
verdicts. Pure functions. Called by the cycle and by adapt.calibrate.
"""

from collections.abc import Iterable


def level_of(promoted: Iterable[bool], alpha: float) -> float:
    """The level of the next update, given which of the earlier ones were promoted, in order.

    A share 1 / (k + 2) of what is left is spent, k being the updates since the last promotion: half
    of it at first, less in a row of refusals, so that it lasts. Every promotion after the first
    pays in alpha. Where all updates are promoted the level tends to alpha.
    """
    left, before, since = alpha, 0, 0
    for was in promoted:
        left -= left / (since + 2)
        since += 1
        if was:
            left += alpha if before else 0.0
            before, since = before + 1, 0
    return left / (since + 2)
