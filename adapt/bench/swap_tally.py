"""What the clients saw, held against when swaps were: what failed, what was mixed, who waited.

A gap is the time between two pieces of text of one answer. Of the gaps that meet a swap, more are
long than of all gaps: a long one meets more. So they are compared with those that meet windows of
the same length laid over the time without swaps, end to end. Pure; called by adapt.bench.swap and
adapt.bench.soak.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapt.bench.swap_load import Answer

Floats = NDArray[np.float64]
Window = tuple[float, float]

AFTER_S = 1.0
"""The time behind a swap that is neither during nor without: what follows from it shows there."""
SLACK_S = 0.05
"""The alias moves inside a transaction: who reads before its end gets the old version."""
RESAMPLES = 1000


@dataclass(frozen=True)
class Spans:
    """Things that lasted a while: [n] moments of their beginning and end."""

    begins: Floats
    ends: Floats

    @property
    def all(self) -> Floats:
        """Seconds of all."""
        return self.ends - self.begins

    def lengths(self, window: Window) -> Floats:
        """Seconds of those that meet a window."""
        met = (self.ends > window[0]) & (self.begins < window[1])
        return self.ends[met] - self.begins[met]


def gaps_of(answers: Sequence[Answer]) -> Spans:
    """Between two pieces of text."""
    pairs = [pair for answer in answers for group in answer.texts for pair in pairwise(group)]
    return _spans(pairs)


def firsts_of(answers: Sequence[Answer]) -> Spans:
    """From the request to the first piece of text, tool calls in between."""
    return _spans([(a.sent, group[0]) for a in answers for group in a.texts[:1]])


def _spans(pairs: Sequence[tuple[float, ...]]) -> Spans:
    moments = np.asarray(pairs, dtype=np.float64).reshape(-1, 2)
    return Spans(moments[:, 0], moments[:, 1])


def calm(swaps: Sequence[Window], begin: float, end: float) -> list[list[Window]]:
    """For each swap, windows of its length that fill the calm before it."""
    found: list[list[Window]] = []
    since = begin
    for start, stop in swaps:
        # A swap that lasts longer than the calm is held against all of it.
        length = min(stop - start, start - since)
        count = int((start - since) / length) if length > 0 else 0
        found.append([(since + i * length, since + (i + 1) * length) for i in range(count)])
        since = min(stop + AFTER_S, end)
    return found


def compared(spans: Spans, swaps: Sequence[Window], begin: float, end: float) -> dict[str, Any]:
    """Milliseconds during swaps, right after them and without, and their ratio.

    The interval is of 95%, over swaps drawn again, each with the calm before it: what one swap does
    to many streams at once counts as one.
    """
    during = [spans.lengths(window) for window in swaps]
    after = [spans.lengths((stop, stop + AFTER_S)) for _, stop in swaps]
    without = [
        np.concatenate([spans.lengths(w) for w in windows] or [np.empty(0)])
        for windows in calm(swaps, begin, end)
    ]
    sides = {"during": during, "after": after, "without": without}
    if any(not sum(map(len, side)) for side in sides.values()):
        return {name: percentiles(np.concatenate(side)) for name, side in sides.items()}
    found: dict[str, Any] = {n: percentiles(np.concatenate(s)) for n, s in sides.items()}
    for percent in (50, 99):
        found[f"p{percent}_ratio"] = _ratio(during, without, percent)
    found["p99_after_ratio"] = _ratio(after, without, 99)
    drawn = np.random.default_rng(0).integers(len(swaps), size=(RESAMPLES, len(swaps)))
    ratios = [
        _ratio([during[i] for i in turn], [without[i] for i in turn], 99) for turn in drawn
    ]  # fmt: skip
    low, high = np.nanpercentile(ratios, (2.5, 97.5))
    found["p99_ratio_interval"] = [round(float(low), 3), round(float(high), 3)]
    return found


def _ratio(during: Sequence[Floats], without: Sequence[Floats], percent: int) -> float:
    above, below = np.concatenate(during), np.concatenate(without)
    if not len(above) or not len(below):
        return float("nan")
    return round(float(np.percentile(above, percent) / np.percentile(below, percent)), 3)


def percentiles(seconds: Floats) -> dict[str, Any]:
    """Count and milliseconds; the count alone when there are none."""
    if not len(seconds):
        return {"count": 0}
    p50, p99 = np.percentile(seconds, (50, 99)) * 1000
    return {
        "count": len(seconds), "p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2),
        "max_ms": round(float(seconds.max()) * 1000, 2),
    }  # fmt: skip


def failures(answers: Sequence[Answer]) -> list[str]:
    """Requests that were refused or cut short."""
    return [f"{a.question}: {a.error}" for a in answers if a.error]


def empties(answers: Sequence[Answer], swaps: Sequence[Window]) -> list[Answer]:
    """Answers without text that a swap may have spoilt."""
    empty = [a for a in answers if a.empty and not a.error]
    return [a for a in empty if any(a.end > b and a.sent < e for b, e in swaps)]


def mixed(answers: Sequence[Answer], live: Sequence[tuple[float, str]]) -> list[str]:
    """Answers that name two versions, or one that was not live when the run began."""
    until = [*(moment for moment, _ in live[1:]), float("inf")]
    found = []
    for a in (a for a in answers if not a.error):
        if set(a.versions) != {a.version}:
            found.append(f"{a.question}: the header says {a.version}, the pieces {a.versions}")
        elif not any(
            name == a.version and since - SLACK_S <= a.begun and a.sent <= end + SLACK_S
            for (since, name), end in zip(live, until, strict=True)
        ):
            found.append(f"{a.question}: {a.version} was not live when it was asked")
    return found
