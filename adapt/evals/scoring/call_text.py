"""Reads text that is nothing but tool calls, as JSON or as Python, without running any of it.

`[{"name": "f", "arguments": {"a": 1}}]`, one such object, `[f(a=1), m.g()]` and `f(a=1)` are calls,
in a code fence or not; text around them makes it an answer in words. Called by
adapt.evals.scoring.calls.
"""

import ast
import json
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MAX_CALLS = 1000
"""Most calls of one reply that are compared; more are never right."""
MAX_DEPTH = 64
"""Deepest nesting of arguments: rules walk them by recursion."""
MAX_CHARS = 50_000
"""Longest text that is read as calls; none that any benchmark wants comes near."""
_FENCE = re.compile(r"```\w*\n(.*)\n```", re.DOTALL)


@dataclass(frozen=True)
class Called:
    """One call that a model made, decoded."""

    name: str
    arguments: dict[str, Any]
    label: str = ""
    """What the model calls the result, where it wrote that into the call."""


def calls_in(text: str) -> list[Called]:
    """The calls that a text is; none where it is anything else. Never raises."""
    text = text.strip()
    if len(text) > MAX_CHARS:
        return []
    if fenced := _FENCE.fullmatch(text):
        text = fenced[1].strip()
    if not text or text[-1] not in ")]}":
        return []
    calls = _json_calls(text) if text[0] in "[{" else None
    return (_python_calls(text) if calls is None else calls)[:MAX_CALLS]


def shallow(value: Any) -> bool:
    """Whether a value is nested at most MAX_DEPTH deep. Walks by levels, so no depth breaks it."""
    level = _containers([value])
    for _ in range(MAX_DEPTH):
        if not level:
            break
        level = _containers(
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        )
    return not level


def _containers(values: Iterable[Any]) -> list[dict[str, Any] | list[Any]]:
    return [value for value in values if isinstance(value, dict | list)]


def _json_calls(text: str) -> list[Called] | None:
    """None where the text is not JSON, or not all of it calls."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not shallow(value):
        return []
    calls: list[Called] = []
    for call in value if isinstance(value, list) else [value]:
        if not isinstance(call, dict) or not isinstance(call.get("name"), str):
            return []
        arguments = call.get("arguments", call.get("parameters", {}))
        if not isinstance(arguments, dict):
            return []
        label = call.get("label")
        calls.append(Called(call["name"], arguments, label if isinstance(label, str) else ""))
    return calls


def _python_calls(text: str) -> list[Called]:
    try:
        with warnings.catch_warnings():
            # A model's odd escapes are no matter for whoever runs the examination.
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval").body
        nodes = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
        calls = [_python_call(node) for node in nodes[:MAX_CALLS]]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # MemoryError is what the parser raises for nesting that its own stack does not hold.
        return []
    return [call for call in calls if call] if all(calls) else []


def _python_call(node: ast.expr) -> Called | None:
    if not isinstance(node, ast.Call):
        return None
    name = ast.unparse(node.func)
    if not re.fullmatch(r"[\w.-]+", name):
        return None
    # An argument without a name gets its place, which no function has for a parameter.
    arguments = {str(place): python_value(arg) for place, arg in enumerate(node.args)}
    for keyword in node.keywords:
        arguments[keyword.arg or "**"] = python_value(keyword.value)
    return Called(name, arguments) if shallow(arguments) else None


def python_value(node: ast.expr) -> Any:
    """A literal as JSON has it, tuples as lists; the source of what is none, such as a variable."""
    try:
        return _as_json(ast.literal_eval(node))
    except (ValueError, TypeError):
        return ast.unparse(node)


def _as_json(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_as_json(inner) for inner in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _as_json(inner) for key, inner in value.items()}
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError("not a value of JSON")
