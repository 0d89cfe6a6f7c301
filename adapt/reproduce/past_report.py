"""What the study of skill vectors found, as figures with intervals and a picture. Runs nothing.

A gain is paired: the same tasks with and without. Over categories the interval is Student's t over
their means, since tasks of one category share its documentation; within one, over its tasks.
Called by adapt.commands.reproduce_past.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from adapt.reproduce.ledger import Result
from adapt.reproduce.report import interval

PLAIN, MAIN, RANDOM = "documents alone", "with the vector", "random of equal norm"
"""The conditions that tools and questions have in common; gains are over the first."""
Runs = Mapping[str, Mapping[str, Sequence[Result]]]
"""Condition -> category -> one result per seed."""
_KINDS = {"s": "single", "m": "multi", "c": "cross", "n": "none"}


def shares(result: Result) -> list[int]:
    """1 for every task that was solved."""
    return [int(digit) for digit in result["solved"]]


def gains(with_it: Sequence[Result], without: Sequence[Result]) -> list[float]:
    """Of one category, per task: the mean over seeds of solved with, minus solved without."""
    pairs = [
        [a - b for a, b in zip(shares(one), shares(two), strict=True)]
        for one, two in zip(with_it, without, strict=False)
    ]
    return [mean(task) for task in zip(*pairs, strict=True)]


def condition_row(name: str, runs: Runs, plain: str) -> dict[str, Any]:
    """A condition over all categories: share solved, and the gain over `plain`."""
    solved = [mean(mean(shares(result)) for result in results) for results in runs[name].values()]
    gain = [mean(gains(results, runs[plain][c])) for c, results in runs[name].items()]
    by_kind = {
        _KINDS[kind]: mean(
            digit
            for results in runs[name].values()
            for result in results
            for digit, own in zip(shares(result), result["kinds"], strict=True)
            if own == kind
        )
        for kind in _KINDS
    }
    return {
        "condition": name, "categories": len(gain),
        "seeds": len(next(iter(runs[name].values()))), "solved": interval(solved),
        "gain": interval(gain), "up": sum(value > 0 for value in gain) / len(gain), **by_kind,
    }  # fmt: skip


def category_row(category: str, runs: Runs, plain: str, name: str) -> dict[str, Any]:
    """One category: solved without and with the vector, and the gain."""
    without, with_it = runs[plain][category], runs[name][category]
    return {
        "category": category,
        "without": mean(mean(shares(result)) for result in without),
        "with": mean(mean(shares(result)) for result in with_it),
        "gain": interval(gains(with_it, without)),
    }


def question_rows(asked: Sequence[Mapping[str, Result]], plain: str) -> list[dict[str, Any]]:
    """Questions answered, a row per condition; `asked` has the answers of each seed by condition.
    Gains over `plain` are paired by fact, over the facts of all seeds."""

    def scores(condition: str) -> list[float]:
        return [one for answers in asked for one in shares(answers[condition])]

    return [
        {
            "condition": condition, "seeds": len(asked), "facts": len(scores(plain)) // len(asked),
            "solved": interval(scores(condition)),
            "gain": interval(
                [a - b for a, b in zip(scores(condition), scores(plain), strict=True)]
            ),
        }
        for condition in asked[0]
    ]  # fmt: skip


def draw_gains(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Solved without and with the vector, a pair of bars per category."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.9 + 0.5 * len(rows)), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = range(len(rows), 0, -1)
    for key, shift, colour, label in (
        ("without", 0.18, "tab:grey", PLAIN),
        ("with", -0.18, "tab:green", MAIN),
    ):
        axes.barh(
            [p + shift for p in places], [row[key] for row in rows], 0.34, color=colour,
            alpha=0.8, label=label,
        )  # fmt: skip
    axes.set_yticks(list(places), [row["category"] for row in rows])
    axes.set_xlim(0, 1)
    axes.set_title("tasks solved, closed book, by category", fontsize=10, loc="left")
    axes.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")
