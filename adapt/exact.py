"""Exact tests of a paired difference at a planned number of items, for answers right or wrong.

Of n items a candidate wins `won` (it alone is right), loses `lost` (the other alone is right) and
ties the rest. The hypothesis "the mean difference is at most `bound`" is tested without
approximation: Tango's score statistic (Statistics in Medicine 1998, 17:891) orders the outcomes,
and the p-value is the largest chance, over the unknown share of items that change, of an outcome
at least as good (an unconditional exact test, as in Sidik 2003). The share is searched within an
interval that misses it with a chance of at most `MISS`, which is added to the p-value (Berger and
Boos 1994). Pure functions of counts. Called by adapt.gate.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, gammaln, xlog1py, xlogy
from scipy.stats import beta

Floats = NDArray[np.float64]
MISS = 1e-4
GRID = 40
"""Shares of lost items that are tried: the p-value changes little between neighbours."""


def score_statistic(won: Floats, lost: Floats, n: int, bound: float) -> Floats:
    """Tango's z of the counts against a mean difference of `bound`; 0 where nothing differs."""
    b = -won - lost + (2.0 * n - won + lost) * bound
    c = -lost * bound * (1.0 - bound)
    share = (np.sqrt(np.maximum(b * b - 8.0 * n * c, 0.0)) - b) / (4.0 * n)
    variance = n * np.maximum(2.0 * share + bound * (1.0 - bound), 0.0)
    distance = won - lost - n * bound
    safe = np.sqrt(np.maximum(variance, 1e-300))
    return np.where(variance > 1e-12, distance / safe, 0.0)


@lru_cache(maxsize=65536)
def p_above(won: int, lost: int, n: int, bound: float) -> float:
    """p-value of "the mean difference is at most `bound`" (in (-1, 1)); 1.0 without items.

    ValueError when there are more changed items than items.
    """
    if won < 0 or lost < 0 or won + lost > n:
        raise ValueError(f"{won} won and {lost} lost of {n} items")
    if n == 0:
        return 1.0
    seen = float(score_statistic(np.array([float(won)]), np.array([float(lost)]), n, bound)[0])
    shares = _shares(won, lost, n, bound)[:, None]
    losses = _likely(n, float(shares.min()), float(shares.max()))
    least = _least_won(losses, n, bound, seen - 1e-9)
    losses, least = losses[least <= n - losses], least[least <= n - losses]
    if not len(losses):
        return MISS
    of_lost = np.exp(_log_binomial(losses, n, shares))
    rest = np.clip((shares + bound) / np.maximum(1.0 - shares, 1e-300), 0.0, 1.0)
    tail = np.where(least == 0, 1.0, bdtrc(np.maximum(least - 1, 0), n - losses, rest))
    return min(1.0, float((of_lost * tail).sum(axis=1).max()) + MISS)


def _shares(won: int, lost: int, n: int, bound: float) -> Floats:
    """Shares of lost items to try, given that won less lost is `bound` in the mean."""
    changed = won + lost
    low = float(beta.ppf(MISS / 2, changed, n - changed + 1)) if changed else 0.0
    high = float(beta.ppf(1 - MISS / 2, changed + 1, n - changed)) if changed < n else 1.0
    least, most = max(0.0, -bound), (1.0 - bound) / 2.0
    first = min(max((low - bound) / 2.0, least), most)
    last = min(max((high - bound) / 2.0, least), most)
    return np.asarray(np.linspace(first, last, GRID), dtype=np.float64)


def _likely(n: int, low: float, high: float) -> NDArray[np.int64]:
    """Numbers of lost items beyond which, at these shares, lies less than 1e-9 of the chance."""
    first = n * low - 7.0 * np.sqrt(n * low) - 10.0
    last = n * high + 7.0 * np.sqrt(n * high) + 20.0
    return np.arange(max(0, int(first)), min(n, int(last)) + 1)


def _log_binomial(k: NDArray[np.int64], n: int, p: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
        return ways + xlogy(k, p) + xlog1py(n - k, -p)


def _least_won(losses: NDArray[np.int64], n: int, bound: float, seen: float) -> NDArray[np.int64]:
    """For each number of lost items the fewest won ones whose statistic reaches `seen`; more than
    there can be where none does. The statistic rises with the items won."""
    low = np.zeros_like(losses)
    high = n - losses + 1
    while (low < high).any():
        middle = (low + high) // 2
        possible = np.minimum(middle, n - losses)
        values = score_statistic(possible.astype(np.float64), losses.astype(np.float64), n, bound)
        enough = (values >= seen) & (middle <= n - losses) | (low >= high)
        high = np.where(enough & (low < high), middle, high)
        low = np.where(~enough & (low < high), middle + 1, low)
    return low
