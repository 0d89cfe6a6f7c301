"""Marks of given replies: an item's gold, or any other, scored as if a model had said it.

Asks no model: single replies go to their scorer, and items of several replies are played by their
own rules against a script. Called by adapt.evals.selfchecking.selfcheck.
"""

import json
from pathlib import Path
from typing import Any

from adapt.evals.asking import Asker, Decoding
from adapt.evals.benchmarks import Case, Gold
from adapt.evals.items import Item, task_of
from adapt.evals.scoring.checks import mark_reply
from adapt.evals.scoring.marks import Mark
from adapt.evals.suites import general_suite, kept_base_suite, tools_suite
from agent.engine import Engine, Reply, ToolCall
from agent.fake_engine import FakeVllm
from store.errors import EngineError
from tools.virtual_api.tasks import REFUSAL

OWN = {"tools": tools_suite, "general": general_suite, "kept": kept_base_suite}
"""Suites of the universe, which need no files."""
ONLY_CALLS = frozenset({"turns", "toolbench"})
"""Kinds of check whose script is the calls of a gold, not its words."""
_SEED = 3


def own_cases(name: str, count: int) -> list[Case]:
    """The first `count` items of a suite of the universe, each with its reference solution."""
    return [Case(item, _reference(item)) for item in OWN[name](_SEED, count).items]


async def mark_of(item: Item, gold: Gold) -> Mark:
    """What a model that replies `gold` gets on this item. EngineError where a player has one."""
    kind = item.check["kind"]
    if kind == "task":
        return await _work(item, gold)
    if kind == "turns":
        from adapt.evals.bfcl.turns import judged

        return await judged(item, gold.turns)
    if kind == "toolbench":
        from adapt.evals.published.stabletoolbench import replay

        return await replay(item, gold)
    return mark_reply(item, _reply(gold))


def _reference(item: Item) -> Gold:
    check = item.check
    if check["kind"] == "task":
        calls = tuple((call.function, call.arguments) for call in task_of(check).solution)
        return Gold(calls=calls) if calls else Gold(content=REFUSAL)
    return Gold(content=str(check["value"] if check["kind"] == "exact" else check["values"][0]))


def _reply(gold: Gold) -> Reply:
    calls = tuple(
        ToolCall(f"call-{place}", name, json.dumps(arguments))
        for place, (name, arguments) in enumerate(gold.calls)
    )
    return Reply(gold.content, calls, "tool_calls" if calls else "stop", 0, 0, "")


async def _work(item: Item, gold: Gold) -> Mark:
    """The agent on a task: one call of `gold` a step, then its words or all that it was told."""

    def answer(
        model: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]]
    ) -> str | list[dict[str, Any]]:
        seen = [m["content"] for m in messages if m["role"] == "tool"]
        if len(seen) < len(gold.calls):
            name, arguments = gold.calls[len(seen)]
            return [{"name": name, "arguments": arguments}]
        return gold.content or " and ".join(_told(seen))

    async with Engine(Path("-"), transport=FakeVllm(answer)) as engine:
        steps = Decoding(max_steps=len(gold.calls) + 1)
        outcome, played = await Asker(engine, "base", steps).ask(item)
    if played is None:
        raise EngineError(outcome.error or "the item could not be played")
    return played.mark


def _told(replies: list[str]) -> list[str]:
    """The values in what tools replied; an error's words are no values."""
    values: list[str] = []
    for text in replies:
        try:
            told = json.loads(text)
        except ValueError:
            continue
        values += map(str, told.values()) if isinstance(told, dict) else ()
    return values
