"""Loader of ToolAlpaca's simulated evaluation: the calls of an API that an instruction needs.

Reads `eval_simulated.json`: ten APIs with OpenAPI documents, instructions and golden actions. As
one reply must hold all calls, a value that an earlier call would return (`${id from search}` in the
files) is open. Of optional parameters only those count whose value the instruction says. Scored by
rule `one_to_one`; called by adapt.evals.benchmarks.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapt.evals.benchmarks import Benchmark, Case, Gold
from adapt.evals.items import Item
from adapt.evals.published.openapi import operations
from adapt.evals.published.reading import as_tool, field, files, parsed, records, shown_names
from adapt.evals.scoring.checks import words_of
from store.errors import ConfigError
from store.records import Message

SYSTEM = """\
Make all the calls that the instruction needs, in its order, all in one reply. Where a value comes \
from the result of an earlier call, write it as ${what from which function}. Ask the user with \
getDetails only for what a required parameter needs and the instruction lacks."""
ASK = "getDetails"
_ASK_TOOL = as_tool(
    ASK,
    "Ask the user for details that the instruction lacks.",
    {"properties": {"Question": {"type": "string"}}, "required": ["Question"]},
)
_OPTIONAL = "[Optional]"
_BARE = re.compile(r'(?<!")\$\{[^{},"]*(?:\}"?)?')
"""A value to come that is not quoted, with the faults of the files: no brace, or a quote behind."""
_TO_COME = "${}"
_Call = dict[str, Any]


def load(folder: Path) -> Iterator[Case]:
    """Items in the files' order, named by API and place; the API's category is the slice."""
    for path in files(folder, "eval_simulated.json"):
        for where, record in records(path):
            yield from _cases(where, record)


def _cases(where: str, record: Mapping[str, Any]) -> Iterator[Case]:
    name = field(record, "Name", where, str)
    text = field(record, "Documentation", where, str)
    functions = operations(parsed(text, f"{where}: 'Documentation'"), where)
    shown = shown_names([ASK, *functions])
    tools = [as_tool(shown[f], about, schema) for f, (about, schema) in functions.items()]
    required = {f: schema["required"] for f, (_, schema) in functions.items()}
    asked = field(record, "Instructions", where, list)
    golden = field(record, "Golden_Answers", where, list)
    if len(asked) != len(golden):
        raise ConfigError(f"{where}: {len(asked)} instructions, {len(golden)} answers", "mend it")
    for number, (instruction, actions) in enumerate(zip(asked, golden, strict=True), 1):
        calls = [_call(action, where, instruction, shown, required) for action in actions]
        if not calls:
            raise ConfigError(f"{where}: instruction {number} has no action", "mend the file")
        item = Item(
            suite="toolalpaca", name=f"{name}-{number}",
            slice=field(record, "Category", where, str),
            messages=(
                Message(role="system", content=SYSTEM), Message(role="user", content=instruction)
            ),
            tools=(*tools, _ASK_TOOL),
            check={"kind": "calls", "rule": "one_to_one", "further": "offered", "calls": calls},
        )  # fmt: skip
        made = tuple((c["name"], c["arguments"]) for c in calls if not c["may_lack"])
        yield Case(item, Gold(calls=made))


def _call(
    action: Mapping[str, Any], where: str, instruction: str,
    shown: Mapping[str, str], required: Mapping[str, list[str]],
) -> _Call:  # fmt: skip
    """A golden action as a call, and what of it counts."""
    named = field(action, "Action", where, str)
    function = named.removeprefix(_OPTIONAL)
    arguments = _arguments(action.get("Action_Input"), where)
    needed = {"Question"} if function == ASK else set(required.get(function, ()))
    open_ = [
        key for key, value in arguments.items()
        if key in needed and (_is_to_come(value) or function == ASK)
    ]  # fmt: skip
    unjudged = [
        key for key, value in arguments.items()
        if key not in needed and (_is_to_come(value) or not _is_said(value, instruction))
    ]  # fmt: skip
    return {
        "name": shown.get(function, function), "arguments": arguments, "open": open_,
        "unjudged": unjudged, "may_lack": named != function,
    }  # fmt: skip


def _arguments(written: Any, where: str) -> dict[str, Any]:
    """The input of an action: JSON, but for values to come, which stand in it without quotes."""
    if isinstance(written, str):
        written = parsed(_BARE.sub(f'"{_TO_COME}"', written), f"{where}: {written!r}")
    if not isinstance(written, dict):
        raise ConfigError(f"{where}: an input that is no object: {written!r}", "mend the file")
    return written


def _is_to_come(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_is_to_come, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and re.fullmatch(r"\$?\{[^{}]*\}", value) is not None


def _is_said(value: Any, instruction: str) -> bool:
    """Whether the instruction has all words of a value; a yes or no is never said in so many."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return all(_is_said(one, instruction) for one in inner)
    said = f" {' '.join(words_of(instruction))} "
    return not isinstance(value, bool) and f" {' '.join(words_of(str(value)))} " in said


BENCHMARK = Benchmark(
    name="toolalpaca",
    about="the calls of one API for an instruction; scored by one-to-one match",
    load=load,
    exceptions={"AniAPI-2": "it gives `filter`, which the document calls `filters`, and no query"},
)
