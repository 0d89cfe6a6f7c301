"""Two runs of one suite side by side, paired by item: what changed, and whether it may be chance.

Judges no version (adapt.gate does) and asks nothing. The statistics are adapt.eprocess's. Called by
`perennial eval compare` and by the HTML report.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adapt.eprocess import Floats, e_value_above, e_value_below, interval_95, mcnemar_p
from adapt.evals.runs.results import groups
from store.errors import ConfigError
from store.evidence import EvalReport, ItemOutcome

Pair = tuple[ItemOutcome, ItemOutcome]


@dataclass(frozen=True)
class Difference:
    """One group of items: means of both, and the mean difference second - first."""

    slice: str
    items: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    """95% bootstrap interval of the difference."""
    won: int
    lost: int


@dataclass(frozen=True)
class Comparison:
    """The second run against the first, over the items that both answered."""

    slices: tuple[Difference, ...]
    """The whole suite first."""
    mcnemar_p: float
    """Two-sided exact McNemar test on items won and lost."""
    e_better: float
    """Evidence that the second is better; 20 is proof at a level of 5%."""
    e_worse: float
    won: tuple[Pair, ...]
    """Items that the second does better at, in the suite's order."""
    lost: tuple[Pair, ...]
    left_out: int
    """Items that an engine fault kept from being compared."""

    @property
    def whole(self) -> Difference:
        """The whole suite."""
        return self.slices[0]


def compare(first: EvalReport, second: EvalReport) -> Comparison:
    """Pair two reports by item. ConfigError where they do not ask the same in the same way."""
    refuse_unlike(first, second)
    answered = {o.item: o for o in first.outcomes if o.error is None}
    pairs = [
        (answered[o.item], o) for o in second.outcomes if o.error is None and o.item in answered
    ]
    if not pairs:
        raise ConfigError(
            "the two runs have no answered item in common", "let both come to an end first"
        )
    d = _differences(pairs)
    places = groups([o.slice for _, o in pairs])
    return Comparison(
        slices=tuple(_row(name, [pairs[i] for i in at]) for name, at in places.items()),
        mcnemar_p=mcnemar_p(d),
        e_better=e_value_above(d, 0.0),
        e_worse=e_value_below(d, 0.0),
        won=tuple(p for p in pairs if p[1].score > p[0].score),
        lost=tuple(p for p in pairs if p[1].score < p[0].score),
        left_out=len({o.item for r in (first, second) for o in r.outcomes}) - len(pairs),
    )


def refuse_unlike(first: EvalReport, second: EvalReport) -> None:
    """ConfigError where two reports have different items or different decoding."""
    if first.suite_digest != second.suite_digest:
        raise ConfigError(
            f"the two were asked different items: {_suite(first)} and {_suite(second)}",
            "run both with the same suite, files, --limit and --sample",
        )
    if first.decoding != second.decoding:
        keys = sorted(first.decoding.keys() | second.decoding.keys())
        unlike = [
            f"{k} {first.decoding.get(k)} and {second.decoding.get(k)}"
            for k in keys
            if first.decoding.get(k) != second.decoding.get(k)
        ]
        raise ConfigError(
            f"the two were asked with different decoding: {', '.join(unlike)}",
            "run one of them again with the other's",
        )


def _suite(report: EvalReport) -> str:
    return f"{report.suite} ({len(report.outcomes)} items, digest {report.suite_digest[:12]})"


def _differences(pairs: Sequence[Pair]) -> Floats:
    return np.array([b.score - a.score for a, b in pairs], dtype=np.float64)


def _row(name: str, pairs: Sequence[Pair]) -> Difference:
    d = _differences(pairs)
    low, high = interval_95(d)
    return Difference(
        slice=name,
        items=len(pairs),
        first=float(np.mean([a.score for a, _ in pairs])),
        second=float(np.mean([b.score for _, b in pairs])),
        difference=float(d.mean()),
        low=low,
        high=high,
        won=int((d > 0).sum()),
        lost=int((d < 0).sum()),
    )
