"""`perennial eval judge`: a model's opinion of a run of ToolBench, advisory and never a score."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapt.commands import Options
from adapt.commands.evals_find import run_named
from adapt.eprocess import interval_95
from adapt.evals.runs.results import ALL, Run, groups, label_of
from adapt.evals.runs.target import greet
from adapt.evals.toolbench.judge import Answer, Figure, Judge
from adapt.evals.toolbench.judging import answers_of, open_words
from adapt.show import stderr, table
from agent.engine import Engine
from agent.engine_remote import KEY_VARIABLE, Remote
from store.errors import ConfigError


@dataclass(frozen=True)
class Judging:
    """Who judges, and how often."""

    url: str
    model: str
    rounds: int


def judge(options: Options, name: str, against: str | None, judging: Judging) -> int:
    """SoPR of a run, and its SoWR against another one. 1 where verdicts are missing."""
    import numpy as np

    run = run_named(options, name)
    ours = answers_of(run)
    other = run_named(options, against) if against else None
    theirs = answers_of(other) if other else None
    ids = [label_of(outcome) for outcome in run.report.outcomes]
    if other is not None and set(ids) != {label_of(o) for o in other.report.outcomes}:
        raise ConfigError(
            "the two runs asked different queries", "run both with the same --limit or --sample"
        )
    url = Remote.of(judging.url).url
    figures, failed = asyncio.run(_ask(options, run, ids, ours, theirs, url, judging))
    places = groups([outcome.slice for outcome in run.report.outcomes])
    rows: list[dict[str, Any]] = []
    for figure_name, figure in figures.items():
        for slice_name, at in places.items():
            values = np.array([figure.by_id[ids[place]] for place in at])
            low, high = interval_95(values)
            row = {
                "figure": figure_name, "slice": slice_name, "value": float(values.mean()),
                "low": low, "high": high, "queries": len(at),
            }  # fmt: skip
            if slice_name == ALL:
                row |= {
                    "rounds_sd": figure.rounds_sd, "unsure": figure.unsure,
                    "faults": figure.faults,
                }  # fmt: skip
            rows.append(row)
    value = {
        "run": str(run.folder), "model": run.model, "against": str(other.folder) if other else None,
        "judge": {"url": url, "model": judging.model, "rounds": judging.rounds},
        "advisory": True, "figures": rows,
        "by_query": {name: dict(figure.by_id) for name, figure in figures.items()},
    }  # fmt: skip
    columns = (
        "figure",
        "slice",
        "value",
        "low",
        "high",
        "queries",
        "rounds_sd",
        "unsure",
        "faults",
    )
    title = f"{judging.model} on {run.label} of {run.model}, {judging.rounds} rounds, 95% intervals"
    options.put(value, table(rows, *columns, title=title))
    stderr().print("advisory: the opinion of a model, which no score and no gate reads")
    if failed:
        stderr().print(
            f"{failed} requests failed, whose verdicts count half here; what was said is kept, and "
            "the same command asks for the rest"
        )
    return 1 if failed else 0


async def _ask(
    options: Options,
    run: Run,
    ids: Sequence[str],
    ours: Mapping[str, Answer],
    theirs: Mapping[str, Answer] | None,
    url: str,
    judging: Judging,
) -> tuple[dict[str, Figure], int]:
    """SoPR, and SoWR where there are two runs; and how many requests failed."""
    assert run.folder is not None, "answers_of refuses reports without a folder"
    timeout_s = options.settings().engine.request_timeout_s
    named = f"{judging.model} at {url}"
    with open_words(run.folder, named) as words:
        async with Engine.at(url, os.environ.get(KEY_VARIABLE, ""), timeout_s) as engine:
            await greet(engine, judging.model)
            one = Judge(engine, judging.model, rounds=judging.rounds, said=words)
            figures = {"SoPR": await one.pass_rate(ids, ours)}
            if theirs is not None:
                figures["SoWR"] = await one.win_rate(ids, ours, theirs)
            return figures, one.failed
