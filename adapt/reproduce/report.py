"""What a study found, as figures with intervals, Markdown tables and pictures.

Runs nothing. Intervals are Student's t over seeds, 95%. Called by adapt.commands.reproduce.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from scipy import stats

from adapt.reproduce.ledger import Result
from adapt.reproduce.losses import learned_of, losses

Interval = tuple[float, float, float]
"""(mean, low, high)."""


def interval(values: Sequence[float]) -> Interval:
    """Mean and 95% interval; equal values, or one alone, have no width."""
    middle = mean(values)
    if len(set(values)) < 2:
        return middle, middle, middle
    bounds = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    return middle, float(bounds.low), float(bounds.high)


@dataclass(frozen=True)
class Compared:
    """One arm over the seeds."""

    name: str
    words: str
    rate: float
    results: Sequence[Result]

    def row(self, before: dict[str, float]) -> dict[str, Any]:
        """Means and intervals: new knowledge, each old ability, average loss signed and clipped."""
        pairs = [losses(before, result["old"]) for result in self.results]
        return {
            "arm": self.name,
            "trained": self.words,
            "rate": self.rate,
            "new": interval([learned_of(result) for result in self.results]),
            "signed": interval([signed for signed, _ in pairs]),
            "losses_only": interval([clipped for _, clipped in pairs]),
            "old": {name: interval([r["old"][name] for r in self.results]) for name in before},
        }


def against(
    first: Compared, other: Compared, before: dict[str, float], factor: float
) -> dict[str, Any]:
    """Whether `first` loses less than `factor` times what `other` does, seed by seed.

    `ratio` is of the mean losses; `difference` the interval of first - other, and `margin` that of
    first - factor x other, which holds the claim when it lies below 0.
    """
    mine, theirs = (
        [losses(before, result["old"])[1] for result in arm.results] for arm in (first, other)
    )
    pairs = list(zip(mine, theirs, strict=True))
    return {
        "than": other.name,
        "factor": factor,
        "ratio": mean(mine) / mean(theirs) if mean(theirs) else float("inf"),
        "difference": interval([a - b for a, b in pairs]),
        "margin": interval([a - factor * b for a, b in pairs]),
    }


def markdown(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; intervals as `mean (low to high)`."""
    lines = [f"### {title}", "", "| " + " | ".join(columns) + " |"]
    lines.append("|" + "|".join(["---", *["--:"] * (len(columns) - 1)]) + "|")
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        middle, low, high = value
        return f"{middle:.3f}" if low == high else f"{middle:.3f} ({low:.3f} to {high:.3f})"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def draw_losses(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """A bar per arm: losses-only average with its interval, and what was learned beside it."""
    axes_of, save = _figure(11, 0.9 + 0.42 * len(rows), 2)
    lost, learned = axes_of
    places = range(len(rows), 0, -1)
    for axes, key, colour, title in (
        (lost, "losses_only", "tab:red", "old abilities lost (losses only)"),
        (learned, "new", "tab:blue", "new knowledge answered"),
    ):
        middles = [row[key][0] for row in rows]
        below = [row[key][0] - row[key][1] for row in rows]
        above = [row[key][2] - row[key][0] for row in rows]
        axes.barh(places, middles, xerr=[below, above], color=colour, alpha=0.75, capsize=3)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_yticks(list(places), [row["arm"] for row in rows] if axes is lost else [])
        axes.set_xlim(left=0)
    save(path)


def draw_sequence(found: dict[str, list[list[float]]], path: Path) -> None:
    """Per arm, what of the first world and of all worlds so far is answered after each update."""
    (first, every), save = _figure(11, 3.6, 2)
    for name, kept in found.items():
        steps = range(1, len(kept) + 1)
        first.plot(steps, [row[0] for row in kept], marker="o", ms=3, label=name)
        every.plot(steps, [mean(row) for row in kept], marker="o", ms=3, label=name)
    for axes, title in ((first, "of the first documents"), (every, "of all documents so far")):
        axes.set_title(f"answered {title}", fontsize=10, loc="left")
        axes.set_xlabel("updates")
        axes.set_ylim(0, 1.02)
    every.legend(fontsize=8)
    save(path)


def _figure(width: float, height: float, columns: int) -> tuple[Any, Any]:
    """Axes side by side, and the function that writes them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns)

    def save(path: Path) -> None:
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png")

    return axes, save
