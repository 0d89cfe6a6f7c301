"""Replies spoiled on purpose: what no scorer may pass.

Each takes an item's gold and changes one thing. Where a change has no meaning for a kind of check,
the reason is given instead. Scores nothing. Called by adapt.evals.selfchecking.selfcheck.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from adapt.evals.benchmarks import Case, Gold
from adapt.evals.scoring.instruction_gold import broken
from adapt.evals.scoring.texts import squad_normal

CORRUPTIONS = ("wrong", "dropped", "duplicated", "empty")
"""wrong: another function, answer or path, or one rule broken. dropped: a call, or what makes the
answer, left out. duplicated: a call made twice, or an answer followed by another one. empty: no
words and no calls."""

NO_SUCH = "no_such_function"
NO_PATH = "/no/such/path"
UNSURE = "I am not sure."
Spoiled = list[Gold] | str
"""Spoiled replies, or why there are none."""


def spoiled(case: Case, corruption: str) -> Spoiled:
    """The gold of `case` under a corruption: replies of which none may pass."""
    if corruption == "empty":
        return [Gold(turns=tuple(() for _ in case.gold.turns))]
    return _KINDS[case.item.check["kind"]](case, corruption)


def _calls(case: Case, corruption: str) -> Spoiled:
    calls = case.gold.calls
    if not calls:
        return _added(case) if corruption == "wrong" else "the gold has no call"
    changed = {
        "wrong": (*calls[:-1], (NO_SUCH, calls[-1][1])),
        "dropped": calls[:-1],
        "duplicated": (*calls, calls[-1]),
    }[corruption]
    return [Gold(content="" if changed else UNSURE, calls=changed)]


def _run(case: Case, corruption: str) -> Spoiled:
    """Calls of a run that ends with an answer: the last call before that is the changed one."""
    calls = case.gold.calls
    at = len(calls) - 2
    if at < 0:
        return "the gold has no call before its answer"
    changed = {
        "wrong": (*calls[:at], (NO_SUCH, calls[at][1]), calls[-1]),
        "dropped": (*calls[:at], calls[-1]),
        "duplicated": (*calls[:at], calls[at], *calls[at:]),
    }[corruption]
    return [Gold(content=case.gold.content, calls=changed)]


def _added(case: Case) -> Spoiled:
    """A call where none is wanted."""
    tools = case.item.tools
    name = tools[0]["function"]["name"] if tools else NO_SUCH
    return [Gold(content=case.gold.content, calls=((name, {}),))]


def _silence(case: Case, corruption: str) -> Spoiled:
    return _added(case) if corruption == "wrong" else "any words are right"


def _paths(case: Case, corruption: str) -> Spoiled:
    if case.gold.calls:
        return _calls(case, corruption)
    lines = case.gold.content.split("\n")
    changed = {
        "wrong": [*lines[:-1], re.sub(r"/\S*", NO_PATH, lines[-1])],
        "dropped": lines[:-1] or [UNSURE],
        "duplicated": [*lines, lines[-1]],
    }[corruption]
    return [Gold(content="\n".join(changed))]


def _choice(case: Case, corruption: str) -> Spoiled:
    letters = case.item.check.get("options") or "AB"
    other = next(letter for letter in letters if letter != case.item.check["value"])
    return _answered(case, corruption, f"The answer is {other}.", UNSURE)


def _number(case: Case, corruption: str) -> Spoiled:
    other = Decimal(str(case.item.check["value"])) + 1
    return _answered(case, corruption, str(other), re.sub(r"\d", "", case.gold.content))


def _text(case: Case, corruption: str) -> Spoiled:
    check = case.item.check
    right = {str(value).casefold() for value in check["values"]}
    options = [str(option) for option in check.get("options") or ("something else",)]
    other = next(option for option in options if option.casefold() not in right)
    bare = case.gold.content
    for value in check["values"]:
        bare = bare.replace(str(value), "")
    return _answered(case, corruption, f"The answer is {other}.", bare or UNSURE)


def _span(case: Case, corruption: str) -> Spoiled:
    words = squad_normal(case.gold.content).split()
    if corruption == "dropped" and len(words) < 2:
        return "the answer is one word"
    return _answered(case, corruption, "something else", " ".join(words[:-1]))


def _values(case: Case, corruption: str) -> Spoiled:
    if corruption == "duplicated":
        return "further words do not make the answer wrong"
    return _answered(case, corruption, "something else", UNSURE)


def _exact(case: Case, corruption: str) -> Spoiled:
    return _answered(case, corruption, "something else", UNSURE)


def _answered(case: Case, corruption: str, other: str, without: str) -> Spoiled:
    changed = {
        "wrong": other,
        "dropped": without,
        "duplicated": f"{case.gold.content}\n{other}",
    }[corruption]
    return [Gold(content=changed)]


def _instructions(case: Case, corruption: str) -> Spoiled:
    if corruption != "wrong":
        return "each rule is broken by itself instead"
    return [Gold(content=broken(one, case.gold.content)) for one in case.item.check["instructions"]]


def _turns(case: Case, corruption: str) -> Spoiled:
    if corruption == "duplicated":
        return "a call made twice may leave the same state"
    turns = [list(turn) for turn in case.gold.turns]
    last = max((place for place, turn in enumerate(turns) if turn), default=None)
    if last is None:
        return "the gold has no call"
    call = turns[last].pop()
    if corruption == "wrong":
        turns[last].append((NO_SUCH, call[1]))
    return [Gold(turns=tuple(map(tuple, turns)))]


def _task(case: Case, corruption: str) -> Spoiled:
    """As calls, but the first is the one made twice: the last may only read."""
    if corruption == "duplicated" and case.gold.calls:
        return [Gold(calls=(case.gold.calls[0], *case.gold.calls))]
    return _calls(case, corruption)


_KINDS: dict[str, Callable[[Case, str], Spoiled]] = {
    "answer": _values,
    "exact": _exact,
    "task": _task,
    "calls": _calls,
    "silence": _silence,
    "paths": _paths,
    "choice": _choice,
    "number": _number,
    "text": _text,
    "span": _span,
    "instructions": _instructions,
    "turns": _turns,
    "toolbench": _run,
}


def offered_calls(item_tools: tuple[dict[str, Any], ...]) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Every offered tool called once, with no arguments."""
    return tuple((tool["function"]["name"], {}) for tool in item_tools)
