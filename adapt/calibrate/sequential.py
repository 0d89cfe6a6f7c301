"""Items that are needed: a test at a fixed number of items, and the one that may stop early.

Both are designed for the same power at the smallest gain (or loss) that matters, and then meet
clear cases. Asks no model. Called by adapt.calibrate.report.
"""

from dataclasses import dataclass

import numpy as np

from adapt.calibrate.scenarios import Effect
from adapt.calibrate.simulate import chances
from adapt.eprocess import STAKES, Floats
from adapt.exact import p_above
from adapt.gate_suite import EARLY, p_needed

POWER = 0.8


@dataclass(frozen=True)
class Claim:
    """That the mean difference exceeds `bound`, and the effect that the test is designed for."""

    name: str
    bound: float
    design: Effect


@dataclass(frozen=True)
class ItemsUsed:
    """Mean items until a decision, beside the fixed number that has the same power."""

    claim: str
    case: str
    fixed: int
    """Items of the fixed test."""
    planned: int
    """Most items of the sequential test."""
    mean: float
    decided: float
    """Share of the runs in which the sequential test decided."""

    @property
    def ratio(self) -> float:
        """Items used over those of the fixed test."""
        return self.mean / self.fixed


def power_fixed(claim: Claim, n: int, level: float, runs: int, seed: int = 0) -> float:
    """Share of runs of the design effect in which the exact test of n items proves the claim."""
    counts = np.random.default_rng(seed).multinomial(n, chances(claim.design), size=runs)
    pairs, times = np.unique(counts[:, :2], axis=0, return_counts=True)
    proven = [p_above(int(w), int(lost), n, claim.bound) <= level for w, lost in pairs]
    return float(times[np.array(proven)].sum() / runs)


def smallest(claim: Claim, level: float, runs: int, *, sequential: bool) -> int:
    """The smallest number of items (in steps of 5) with enough power for the design effect."""
    n = 20
    while True:
        if sequential:
            power = items_used(claim, claim.design, n, level, runs).decided
        else:
            power = power_fixed(claim, n, level, runs)
        if power >= POWER:
            return n
        n += 5


@dataclass(frozen=True)
class Stops:
    """What the runs of one case came to."""

    mean: float
    decided: float


def items_used(
    claim: Claim, effect: Effect, planned: int, level: float, runs: int, seed: int = 1,
    *, least: int = 20,
) -> Stops:  # fmt: skip
    """Runs that stop as soon as the e-value proves the claim, or else end with the exact test.

    `least` items are always asked.
    """
    rng = np.random.default_rng(seed)
    d = rng.choice([1.0, -1.0, 0.0], size=(runs, planned), p=chances(effect))
    stopped = _first_proof(d, claim.bound, 1.0 / (EARLY * level), least)
    won, lost = (d > 0).sum(axis=1), (d < 0).sum(axis=1)
    at_end = np.array([
        p_above(int(w), int(lo), planned, claim.bound) <= p_needed(level)
        for w, lo in zip(won, lost, strict=True)
    ])  # fmt: skip
    early = stopped < planned
    return Stops(float(stopped.mean()), float((early | at_end).mean()))


def harm_items(
    effect: Effect, bound: float, planned: int, alpha: float, runs: int, seed: int = 2,
    *, least: int = 20,
) -> Stops:  # fmt: skip
    """Runs that stop as soon as the e-value has shown a loss beyond the margin, as a cycle does."""
    rng = np.random.default_rng(seed)
    d = rng.choice([1.0, -1.0, 0.0], size=(runs, planned), p=chances(effect))
    stopped = _first_proof(-d, -bound, 1.0 / alpha, least)
    return Stops(float(stopped.mean()), float((stopped < planned).mean()))


def _first_proof(d: Floats, bound: float, needed: float, least: int) -> Floats:
    """Items after which the e-value of each run first reached `needed`; all of them if never."""
    bets = STAKES / (1.0 + bound)
    capital = np.zeros_like(d)
    for bet in bets:
        capital += np.exp(np.minimum(np.cumsum(np.log1p(bet * (d - bound)), axis=1), 700.0))
    reached = capital / len(bets) >= needed
    reached[:, : least - 1] = False
    first = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, d.shape[1])
    return np.asarray(first, dtype=np.float64)
