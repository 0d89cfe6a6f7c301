"""What two agents get that look at no question: one abstains, one calls every function offered.

A score means something only beside theirs. Asks no model: their replies are marked by the suite's
own scorers, once for a run, and kept in its folder. Called by adapt.evals.selfchecking.selfcheck,
the commands that show runs and the HTML report.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from adapt.evals.benchmarks import Gold
from adapt.evals.items import Item
from adapt.evals.runs.results import Run, groups
from adapt.evals.scoring.marks import Mark
from adapt.evals.selfchecking.corruptions import offered_calls
from adapt.evals.selfchecking.replaying import mark_of
from agent.engine import ToolCall
from agent.history import Wire, to_wire
from store.files import write_atomic

ABSTAINS, CALLS_ALL = "abstains", "calls_everything"
AGENTS = (ABSTAINS, CALLS_ALL)
FILE = "trivial.json"
NO_HELP = "I cannot help with that."
_LONG = frozenset({"turns"})
"""Kinds that are left out of a run's rows: each item costs two processes."""


def replies(item: Item) -> dict[str, Gold]:
    """What each agent replies to an item."""
    calls = offered_calls(item.tools)
    silent = tuple(() for _ in item.check.get("turns", ()))
    return {
        ABSTAINS: Gold(content=NO_HELP, turns=silent),
        CALLS_ALL: Gold(content="" if calls else NO_HELP, calls=calls, turns=(calls, *silent[1:])),
    }


def keep(folder: Path, suite_digest: str, items: Sequence[Item]) -> None:
    """Put the agents' means by slice into a run folder, unless they are there."""
    if _read(folder, suite_digest) is None:
        means = asyncio.run(_means(items))
        write_atomic(folder / FILE, json.dumps({"suite_digest": suite_digest, "agents": means}))


def trivial_of(run: Run) -> dict[str, dict[str, Any]] | None:
    """By agent, then by slice: `mean` and `items`; None where they are not known."""
    return _read(run.folder, run.report.suite_digest) if run.folder else None


def _read(folder: Path, suite_digest: str) -> dict[str, dict[str, Any]] | None:
    """The next `eval run` makes the file again, so that one that cannot be read is none."""
    try:
        told = json.loads((folder / FILE).read_bytes())
        return told["agents"] if told["suite_digest"] == suite_digest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def _mark(item: Item, said: Gold) -> Mark:
    return await (_played if item.check["kind"] == "toolbench" else mark_of)(item, said)


async def _played(item: Item, said: Gold) -> Mark:
    """A query of ToolBench by ReAct, one call a reply: through an engine and its JSON, as `mark_of`
    plays it, a thousand of them take minutes."""
    from adapt.evals.toolbench.chain import run_chain
    from adapt.evals.toolbench.protocol import LIMITS, Setting
    from adapt.evals.toolbench.scores import mark_trace
    from adapt.evals.toolbench.server import ToolServer
    from adapt.evals.toolbench.steps import Explorer, Said, World
    from adapt.evals.toolbench.steps import Path as Walk

    waiting = iter(said.calls)

    async def speak(_messages: Sequence[Wire]) -> Said:
        calls = tuple(
            ToolCall("call", name, json.dumps(given)) for name, given in islice(waiting, 1)
        )
        return Said(said.content, said.content, calls)

    limits = LIMITS[Setting.of(item.check).limits]
    explorer = Explorer(speak, World.of(item, ToolServer().start()), limits)
    return mark_trace(item, await run_chain(explorer, Walk(tuple(to_wire(item.messages)))))


async def _means(items: Iterable[Item]) -> dict[str, dict[str, Any]]:
    short = [item for item in items if item.check["kind"] not in _LONG]
    scores: dict[str, list[float]] = {agent: [] for agent in AGENTS}
    for item in short:
        for agent, said in replies(item).items():
            scores[agent].append((await _mark(item, said)).score)
    if not short:
        return {}
    places = groups([item.slice for item in short])
    return {
        agent: {
            name: {"mean": sum(own[i] for i in at) / len(at), "items": len(at)}
            for name, at in places.items()
        }
        for agent, own in scores.items()
    }
