"""Scores of tool calls: reads the calls of a reply, and has them compared by the benchmark's rule.

A rule is a module of adapt.evals with `compare(item, calls)`; none is here. Engine faults never get
here, and nothing that a model can say raises. Called by adapt.evals.scoring.checks.
"""

import json
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, TypeVar

from adapt.evals.items import Item
from adapt.evals.scoring.call_text import MAX_CALLS, Called, calls_in, shallow
from adapt.evals.scoring.marks import RIGHT, Mark, invalid, wrong
from agent.engine import Reply
from agent.unread_calls import CALL_MARK
from store.errors import ConfigError

__all__ = ["RULES", "SCORERS", "Called", "brief", "calls_of", "f1_of", "mark_calls",
           "mark_silence", "match_one_to_one", "object_in"]  # fmt: skip

RULES: dict[str, str] = {
    "bfcl": "bfcl_ast",
    "acebench": "acebench_rules",
    "nestful": "nestful_rules",
    "one_to_one": "call_rules",
}
"""Module of adapt.evals with the `compare` of each rule, imported on use."""

_Gold = TypeVar("_Gold")
_Made = TypeVar("_Made")


def mark_calls(item: Item, reply: Reply) -> Mark:
    """Score the calls of a reply, none included, by `check["rule"]`. ConfigError: no such rule."""
    rule = item.check["rule"]
    if rule not in RULES:
        raise ConfigError(f"no rule {rule!r} for calls", f"there are: {', '.join(RULES)}")
    called = calls_of(reply)
    if isinstance(called, Mark):
        return called
    return import_module(f"adapt.evals.scoring.{RULES[rule]}").compare(item, called)


def mark_silence(item: Item, reply: Reply) -> Mark:
    """Right when the reply says something and calls nothing."""
    if not reply.tool_calls and not reply.content.strip():
        return invalid("empty answer")
    called = calls_of(reply)
    if isinstance(called, Mark):
        return called
    return wrong(f"called {brief(called[0].name)} although no tool fits") if called else RIGHT


def _mark_paths(item: Item, reply: Reply) -> Mark:
    return import_module("adapt.evals.scoring.path_rules").SCORERS["paths"](item, reply)


SCORERS = {"calls": mark_calls, "silence": mark_silence, "paths": _mark_paths}


def calls_of(reply: Reply) -> list[Called] | Mark:
    """The calls of a reply in their order, or the mark of a reply that cannot be read.

    Where the engine found no call, text that is nothing but calls counts as calls: some models
    write them so. Other text holds none.
    """
    if CALL_MARK in reply.content:
        return invalid("a call that cannot be read")
    if not reply.tool_calls:
        return calls_in(reply.content)
    if len(reply.tool_calls) > MAX_CALLS:
        return invalid(f"{len(reply.tool_calls)} calls in one reply")
    called: list[Called] = []
    for call in reply.tool_calls:
        arguments = object_in(call.arguments or "{}")
        if arguments is None:
            return invalid("arguments that are not a JSON object")
        called.append(Called(call.name, arguments))
    return called


def object_in(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is; None for anything else, or for one nested too deep."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and shallow(value) else None


def match_one_to_one(
    gold: Sequence[_Gold], made: Sequence[_Made], same: Callable[[_Gold, _Made], bool]
) -> list[tuple[int, int]]:
    """The most pairs (place in gold, place in made) that are the same, each place in one at most.

    A maximum matching of a bipartite graph: taking the first that fits could leave another without.
    """
    if not gold or not made:
        return []
    from scipy.optimize import linear_sum_assignment

    fits = [[float(same(g, m)) for m in made] for g in gold]
    rows, columns = linear_sum_assignment(fits, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in pairs if fits[row][column]]


def f1_of(matched: int, gold: int, made: int) -> dict[str, float]:
    """Precision, recall and F1 of `matched` pairs; all 1 where nothing was to be made or was."""
    if not gold and not made:
        return {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    precision, recall = matched / made if made else 0.0, matched / gold if gold else 0.0
    return {"precision": precision, "recall": recall, "f1": 2 * matched / (gold + made)}


def brief(text: str) -> str:
    """A model's text for a mark's detail: short, and in characters that any store takes."""
    return ascii(text if len(text) <= 60 else text[:59] + "…")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
