"""Scores of single replies and of whole runs: one scorer per kind of check, no model judges.

A scorer sees what came back and says 0 or 1, whether it was well formed, and why. It asks nothing;
engine faults never get here. Called by adapt.evals.runner.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from adapt.evals.items import Item
from adapt.evals.scoring.marks import RIGHT, Mark, invalid, wrong
from agent.engine import Reply
from agent.state import RunResult
from agent.unread_calls import CALL_MARK
from tools.virtual_api.executor import Session
from tools.virtual_api.tasks import Task, judge, refuses

Scorer = Callable[[Item, Reply], Mark]


def mark_reply(item: Item, reply: Reply) -> Mark:
    """Score one reply to an item of a kind that one reply settles."""
    if not reply.tool_calls:
        if CALL_MARK in reply.content:
            return invalid("a call that cannot be read")
        if not reply.content.strip():
            return invalid("empty answer")
    return scorer_of(item.check["kind"])(item, reply)


def scorer_of(kind: str) -> Scorer:
    """The scorer of a kind of check."""
    if kind in _SCORERS:
        own = _SCORERS[kind]
        return lambda item, reply: own(item.check, reply)
    # Imported on use: the gate's own suites need none of the published benchmarks' rules.
    return import_module(f"adapt.evals.scoring.{_ELSEWHERE[kind]}").SCORERS[kind]


def mark_run(task: Task, result: RunResult, session: Session) -> Mark:
    """Score one run of the agent on a task, from the end state of its world and its answer."""
    called = any(m.tool_calls for m in result.messages)
    if task.kind == "none" and called:
        # The world records no call of a function that it lacks.
        return wrong("called a tool although none fits")
    verdict = judge(task, session, result.answer)
    if verdict.solved:
        return RIGHT
    if result.malformed or not result.answer.strip():
        return invalid(verdict.reason)
    return wrong(verdict.reason)


def _answer(check: Mapping[str, Any], reply: Reply) -> Mark:
    """Every value stands in the answer, as whole words."""
    if reply.tool_calls:
        return wrong("called a tool instead of answering")
    said = words_of(reply.content)
    missing = [v for v in check["values"] if not _within(words_of(str(v)), said)]
    return wrong(f"the answer lacks {', '.join(map(str, missing))}") if missing else RIGHT


def _exact(check: Mapping[str, Any], reply: Reply) -> Mark:
    """The answer and nothing else."""
    if reply.tool_calls:
        return wrong("called a tool instead of answering")
    same = reply.content.split() == str(check["value"]).split()
    return RIGHT if same else wrong(f"not {check['value']!r}")


def _call(check: Mapping[str, Any], reply: Reply) -> Mark:
    """One call, of that name, with those arguments."""
    if not reply.tool_calls:
        return wrong("called nothing")
    arguments: list[Any] = []
    for call in reply.tool_calls:
        try:
            arguments.append(json.loads(call.arguments or "{}"))
        except (ValueError, RecursionError):
            return invalid("arguments that are not JSON")
        if not isinstance(arguments[-1], dict):
            return invalid("arguments that are not an object")
    if len(arguments) > 1:
        return wrong(f"made {len(arguments)} calls, not one")
    name = reply.tool_calls[0].name
    if name != check["name"]:
        return wrong(f"called {name}")
    return RIGHT if same_json(arguments[0], check["arguments"]) else wrong("other arguments")


def _refusal(check: Mapping[str, Any], reply: Reply) -> Mark:
    """No call, and words that say so."""
    if reply.tool_calls:
        return wrong("called a tool although none fits")
    return RIGHT if refuses(reply.content) else wrong("did not say that it cannot")


_SCORERS: dict[str, Callable[[Mapping[str, Any], Reply], Mark]] = {
    "answer": _answer,
    "exact": _exact,
    "call": _call,
    "refusal": _refusal,
}


_ELSEWHERE = {
    "calls": "calls",
    "silence": "calls",
    "paths": "calls",
    "choice": "texts",
    "number": "texts",
    "text": "texts",
    "span": "texts",
    "instructions": "instructions",
}
"""Module of adapt.evals with the scorer of a published benchmark's kind, in its `SCORERS`."""


def words_of(text: str) -> list[str]:
    """Words and numbers of a text in one normal form: compatible letters, no case, no marks.

    A mark between digits stays: 4.7 is one number.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return re.findall(r"\d+(?:[.,:/-]\d+)*(?!\w)|[^\W_]+", plain)


def same_json(one: Any, other: Any) -> bool:
    """Equality of JSON values: 3 is 3.0, but 1 is not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same_json(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return one == other


def _within(wanted: Sequence[str], said: Sequence[str]) -> bool:
    """Whether the wanted words follow each other somewhere in what was said."""
    size = len(wanted)
    return size > 0 and any(said[i : i + size] == wanted for i in range(len(said) - size + 1))
