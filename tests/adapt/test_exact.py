"""The exact paired test: its chance of a false proof, known cases, and its order."""

from itertools import pairwise
from math import comb

import numpy as np
import pytest
from scipy.stats import binom

from adapt.exact import p_above, score_statistic


def chance_of_proof(n: int, bound: float, lost: float, level: float) -> float:
    """Chance that the test proves its claim although the mean difference is exactly `bound`."""
    won = lost + bound
    total = 0.0
    for w in range(n + 1):
        for k in range(n + 1 - w):
            if p_above(w, k, n, bound) <= level:
                tie = n - w - k
                ways = comb(n, w) * comb(n - w, k)
                total += ways * won**w * lost**k * (1 - won - lost) ** tie
    return total


@pytest.mark.parametrize("bound", [0.0, -0.06, 0.1])
def test_a_false_proof_is_never_more_likely_than_the_level(bound: float) -> None:
    """Summed over every outcome of 24 items, whatever share of items changes."""
    for lost in np.linspace(max(0.0, -bound) + 0.001, 0.4, 6):
        for level in (0.05, 0.01):
            assert chance_of_proof(24, bound, float(lost), level) <= level + 1e-9


def test_without_wins_it_is_the_binomial_test_of_the_losses() -> None:
    """Where nothing can be won, the loss alone is binomial: the exact p is known."""
    exact = binom.cdf(2, 240, 0.06)
    assert p_above(0, 2, 240, -0.06) >= exact
    assert p_above(0, 2, 240, -0.06) == pytest.approx(exact, abs=5e-4)


def test_the_statistic_is_mcnemars_at_no_difference() -> None:
    """Against no difference, Tango's z is (won - lost) / sqrt(won + lost)."""
    found = score_statistic(np.array([12.0]), np.array([5.0]), 100, 0.0)[0]
    assert found == pytest.approx(7 / np.sqrt(17))


def test_more_wins_prove_more_and_more_losses_less() -> None:
    """The p-value falls with each item won and rises with each one lost."""
    by_won = [p_above(w, 6, 120, -0.06) for w in range(0, 40)]
    by_lost = [p_above(3, k, 120, -0.06) for k in range(0, 40)]
    assert all(a >= b - 1e-9 for a, b in pairwise(by_won))
    assert all(a <= b + 1e-9 for a, b in pairwise(by_lost))


def test_odd_counts() -> None:
    """No items prove nothing, all items lost prove nothing, impossible counts are refused."""
    assert p_above(0, 0, 0, 0.0) == 1.0
    assert p_above(0, 30, 30, -0.06) == pytest.approx(1.0)
    assert p_above(0, 0, 30, 0.0) == 1.0
    with pytest.raises(ValueError, match="20 won and 20 lost of 30 items"):
        p_above(20, 20, 30, 0.0)
