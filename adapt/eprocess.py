"""Anytime-valid evidence about a mean, by betting, and the fixed-size statistics beside it.

An e-value is the capital of a gambler who bets against a hypothesis at fair odds: while the
hypothesis holds it reaches 1/alpha with a chance of at most alpha, whenever one looks
(Ville's inequality). Pure functions of arrays; no records. Called by adapt.gate.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STAKES = np.array([0.05, 0.15, 0.4, 0.7, 0.99])
"""Shares of the largest fair bet. The gambler splits the capital over them once, so nothing is
tuned to the data; large stakes win fast on ties, small ones survive scattered losses. None is 1:
one loss would end that bet for ever."""
RESAMPLES = 5_000


def e_value_above(differences: Floats, bound: float) -> float:
    """Evidence that the mean exceeds `bound`, against "at most `bound`".

    `differences` [n] lie in [-1, 1], `bound` in (-1, 1). The value does not depend on the order of
    the items; 1.0 when there are none.
    """
    assert -1.0 < bound < 1.0, bound
    gains = np.asarray(differences, dtype=np.float64) - bound
    # A bet of 1 / (1 + bound) loses everything at the lowest difference, -1.
    bets = STAKES / (1.0 + bound)
    capitals = np.log1p(bets[:, None] * gains[None, :]).sum(axis=1)
    # Above e^700 a float overflows; the evidence is beyond doubt long before.
    return float(np.exp(np.minimum(capitals, 700.0)).mean())


def e_value_below(differences: Floats, bound: float) -> float:
    """Evidence that the mean is less than `bound`, against "at least `bound`"."""
    return e_value_above(-np.asarray(differences), -bound)


def interval_95(differences: Floats, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean difference, (0, 0) when there are no items.

    It has no width when all differences are equal: read it with the number of items.
    """
    if len(differences) == 0:
        return 0.0, 0.0
    values, counts = np.unique(differences, return_counts=True)
    return _interval(tuple(values.tolist()), tuple(counts.tolist()), seed)


@lru_cache(maxsize=4096)
def _interval(values: tuple[float, ...], counts: tuple[int, ...], seed: int) -> tuple[float, float]:
    """Resampling items is drawing how often each value comes: one multinomial draw a resample."""
    n = sum(counts)
    drawn = np.random.default_rng(seed).multinomial(n, np.array(counts) / n, size=RESAMPLES)
    low, high = np.quantile(drawn @ np.array(values) / n, [0.025, 0.975])
    return float(low), float(high)


def mcnemar_p(differences: Floats) -> float:
    """Two-sided exact McNemar test: are won and lost items equally likely? 1.0 on no change."""
    from scipy.stats import binomtest  # a second of start-up that only a gate needs

    won, lost = int((differences > 0).sum()), int((differences < 0).sum())
    return float(binomtest(won, won + lost, 0.5).pvalue) if won + lost else 1.0
