"""The geometry of the pages' pictures: a loss curve, a line of versions, intervals on a scale.

Numbers in, numbers out; the templates draw them as SVG, whose colours are those of the theme. No
text goes through here. Called by agent.web.learning and agent.web.evals.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from store.records import Version

MOST_POINTS = 240
SMOOTHED = 0.9
"""How much of the mean so far goes into the smoothed loss."""


@dataclass(frozen=True)
class Curve:
    """Points of a loss and of its smoothed form, on 0 to 100 both ways, y downwards."""

    points: str
    smooth: str
    low: float
    high: float
    last: float
    step: int
    steps: int
    speed: float
    """Tokens in a second, at the last step."""


def loss_curve(entries: Sequence[Mapping[str, Any]]) -> Curve | None:
    """The curve of the steps so far, None before there are two."""
    if len(entries) < 2:
        return None
    steps = max(entries[-1]["steps"], 1)
    smooth: list[float] = []
    mean = entries[0]["loss"]
    for entry in entries:
        mean = SMOOTHED * mean + (1 - SMOOTHED) * entry["loss"]
        smooth.append(mean)
    losses = [entry["loss"] for entry in entries]
    low, high = min(losses), max(losses)
    every = max(1, len(entries) // MOST_POINTS)
    # The last step is always among them: it is what the reader compares with the figure beside.
    kept = sorted({*range(0, len(entries), every), len(entries) - 1})

    def line(values: Sequence[float]) -> str:
        span = (high - low) or 1.0
        return " ".join(
            f"{100 * entries[i]['step'] / steps:.2f},{96 - 92 * (values[i] - low) / span:.2f}"
            for i in kept
        )

    last = entries[-1]
    return Curve(
        line(losses), line(smooth), low, high, smooth[-1], last["step"], steps,
        last.get("tokens_per_second", 0),
    )  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a version stands in the drawing of the line, the newest on top.

    Lanes are columns from 0. `through`: lanes that pass by. `joins`: lanes of children that end
    here from above. `rises`: whether its own lane comes from above. `goes_on`: whether it goes on
    below, to its parent.
    """

    lane: int
    through: tuple[int, ...]
    joins: tuple[int, ...]
    rises: bool
    goes_on: bool


def places(versions: Sequence[Version]) -> list[Place]:
    """The places of versions that are given newest first, each parent after its children."""
    names = {version.name for version in versions}
    waits: list[str | None] = []
    """For which version each lane waits, None for a free lane."""
    found: list[Place] = []
    for version in versions:
        mine = [lane for lane, name in enumerate(waits) if name == version.name]
        lane = mine[0] if mine else _free(waits)
        joins = tuple(mine[1:])
        for each in mine:
            waits[each] = None
        through = tuple(i for i, name in enumerate(waits) if name is not None)
        parent = version.parent if version.parent in names else None
        waits[lane] = parent
        found.append(Place(lane, through, joins, bool(mine), parent is not None))
    return found


def _free(waits: list[str | None]) -> int:
    for lane, name in enumerate(waits):
        if name is None:
            return lane
    waits.append(None)
    return len(waits) - 1


@dataclass(frozen=True)
class Scale:
    """Where differences lie on a line from `-reach` to `reach`, in percent of its width."""

    reach: float

    def at(self, value: float) -> float:
        """The place of a difference; what is beyond lies at the edge."""
        inside = max(-self.reach, min(self.reach, value))
        return 50 + 50 * inside / self.reach


def scale_of(tests: Sequence[Mapping[str, Any]]) -> Scale:
    """One scale for all these tests, so that their intervals can be compared."""
    ends = [abs(end) for test in tests for end in test["interval"]]
    ends += [1.5 * test["margin"] for test in tests]
    return Scale(max([0.1, *(min(1.0, 1.1 * end) for end in ends)]))


def scales_of(gate: Mapping[str, Any] | None) -> dict[str, Scale]:
    """A scale for each kind of claim of a gate report: what is gained on new questions is many
    times what may be lost on others."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for test in gate["tests"] if gate else ():
        kinds.setdefault(test["kind"], []).append(test)
    return {kind: scale_of(tests) for kind, tests in kinds.items()}


@dataclass(frozen=True)
class Mark:
    """A score with its interval: `x` in percent of the width, the rest in percent of the height,
    downwards."""

    version: str
    x: float
    y: float
    top: float
    bottom: float
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Range:
    """The part of the scale of scores that a chart shows."""

    low: float
    high: float


def range_of(rows: Sequence[Mapping[str, Any]]) -> Range:
    """From tenth to tenth, with every interval inside, and never less than a fifth of the scale."""
    low = math.floor(10 * min(row["low"] for row in rows)) / 10
    high = math.ceil(10 * max(row["high"] for row in rows)) / 10
    if high - low < 0.2:
        low = max(0.0, min(low, high - 0.2))
        high = max(high, low + 0.2)
    return Range(low, high)


def trend(
    rows: Sequence[Mapping[str, Any]], versions: Sequence[str], shown: Range = Range(0.0, 1.0)
) -> list[Mark]:
    """One suite's scores over versions. Every suite has the same places for the same versions."""
    width = 100 / max(len(versions), 1)
    where = {name: (i + 0.5) * width for i, name in enumerate(versions)}

    def y(share: float) -> float:
        return 100 * (shown.high - share) / (shown.high - shown.low)

    return [
        Mark(
            row["version"], where[row["version"]], y(row["mean"]), y(row["high"]), y(row["low"]),
            row,
        )
        for row in rows
        if row["version"] in where
    ]  # fmt: skip
