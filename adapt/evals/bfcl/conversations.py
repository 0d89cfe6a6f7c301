"""The conversations of BFCL (multi_turn_*) as items: turns of questions, classes, and gold calls.

Runs nothing: adapt.evals.bfcl.turns plays them. A check of kind `turns` holds
`turns: [{"messages", "added", "calls": [[name, arguments], ...]}]`, where `added` are functions
that are shown from that turn on, beside what starts the classes. Called by the loader of BFCL.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapt.evals.benchmarks import Case, Gold
from adapt.evals.items import Item
from adapt.evals.published.bfcl import answers, documents_of, file_of, first_messages, tool_of
from adapt.evals.published.reading import field, lines
from adapt.evals.scoring.call_text import python_value
from store.errors import ConfigError

DOCUMENTS = {
    "GorillaFileSystem": "gorilla_file_system",
    "MathAPI": "math_api",
    "MessageAPI": "message_api",
    "TwitterAPI": "posting_api",
    "TicketAPI": "ticket_api",
    "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking",
    "VehicleControlAPI": "vehicle_control",
}
"""File of function documents by class."""
Documents = Mapping[str, Mapping[str, Any]]
"""Function documents by name."""


def conversations(base: Path, category: str) -> Iterator[Case]:
    """The items of a category of conversations. ConfigError names the file and the line."""
    gold = answers(base, category)
    documents: dict[str, Documents] = {}
    for where, record in lines(file_of(base, category)):
        classes = field(record, "involved_classes", where, list)
        for name in classes:
            if name not in documents:
                documents[name] = _documents(base, name, where)
        name = field(record, "id", where, str)
        if name not in gold:
            raise ConfigError(f"{where}: {name} has no answer", "mend possible_answer")
        yield _case(record, where, gold[name], {c: documents[c] for c in classes}, category)


def _case(
    record: Mapping[str, Any], where: str, gold: Sequence[Any],
    documents: Mapping[str, Documents], category: str,
) -> Case:  # fmt: skip
    functions = {name: one for each in documents.values() for name, one in each.items()}
    questions = field(record, "question", where, list)
    if len(gold) != len(questions):
        raise ConfigError(f"{where} has {len(questions)} turns, its answer {len(gold)}", "mend it")
    missed: dict[str, list[str]] = record.get("missed_function") or {}
    held_back = {name for names in missed.values() for name in names}
    if unknown := held_back - functions.keys():
        raise ConfigError(f"{where}: no document of {', '.join(sorted(unknown))}", "mend it")
    shown = {name: name for name in functions}
    tools = {name: tool_of(one, shown, where) for name, one in functions.items()}
    calls = [[list(call_of(text, functions, where)) for text in turn] for turn in gold]
    turns = [
        {
            # The first turn's are the item's own messages.
            "messages": list(messages) if place else [],
            "added": [tools[name] for name in missed.get(str(place), ())],
            "calls": calls[place],
        }
        for place, messages in enumerate(questions)
    ]
    item = Item(
        suite="bfcl", slice=category, name=field(record, "id", where, str),
        messages=first_messages(record, where),
        tools=tuple(tool for name, tool in tools.items() if name not in held_back),
        check={
            "kind": "turns",
            "turns": turns,
            "classes": list(documents),
            "functions": {name: list(each) for name, each in documents.items()},
            "config": field(record, "initial_config", where, dict),
            "long_context": category == "multi_turn_long_context",
        },
    )  # fmt: skip
    made = tuple(tuple((name, arguments) for name, arguments in turn) for turn in calls)
    return Case(item, Gold(turns=made))


def call_of(text: str, functions: Documents, where: str) -> tuple[str, dict[str, Any]]:
    """(name, arguments) of a gold call such as `cd(folder='x')`. Parsed, never run. ConfigError."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        node = None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ConfigError(f"{where}: {text!r} is no call", "mend possible_answer")
    name = node.func.id
    if name not in functions:
        raise ConfigError(f"{where}: no document of {name!r}", "mend possible_answer")
    order = list(functions[name]["parameters"]["properties"])
    if len(node.args) > len(order):
        raise ConfigError(f"{where}: {text!r} has too many arguments", "mend possible_answer")
    arguments = {key: python_value(arg) for key, arg in zip(order, node.args, strict=False)}
    arguments |= {k.arg: python_value(k.value) for k in node.keywords if k.arg}
    return name, arguments


def _documents(base: Path, name: str, where: str) -> Documents:
    """The function documents of a class, in their order."""
    if name not in DOCUMENTS:
        raise ConfigError(f"{where}: no class {name!r}", f"there are: {', '.join(DOCUMENTS)}")
    return {
        field(record, "name", place, str): record
        for place, record in lines(documents_of(base, DOCUMENTS[name]))
    }
