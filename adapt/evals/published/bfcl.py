"""BFCL v4 (Berkeley Function Calling Leaderboard): single replies of Python categories, and turns.

Reads `BFCL_v4_<category>.json` (or .jsonl), `possible_answer/` and the function documents of
conversations as published, in a folder or its `dev`. Categories that need another language, the web
or a memory are not read, nor is live_relevance, where any call at all is right. Found by
adapt.evals.benchmarks.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapt.evals.benchmarks import Benchmark, Case, Gold
from adapt.evals.bfcl.sandbox import installed
from adapt.evals.items import Item
from adapt.evals.published.reading import as_tool, field, lines, shown_names
from adapt.evals.scoring.bfcl_ast import TYPES
from store.errors import ConfigError, NotFoundError
from store.records import Message

CALLING = (
    "simple_python", "multiple", "parallel", "parallel_multiple",
    "live_simple", "live_multiple", "live_parallel", "live_parallel_multiple",
)  # fmt: skip
"""Categories whose answer is calls."""
SILENT = ("irrelevance", "live_irrelevance")
"""Categories where no function fits."""
TURNS = ("multi_turn_base", "multi_turn_miss_func", "multi_turn_miss_param",
         "multi_turn_long_context")  # fmt: skip
"""Categories of conversations."""
_INCONSISTENT = "its listed answer and its function's document contradict each other"


def load(folder: Path) -> Iterator[Case]:
    """All categories that have files. Conversations only where bfcl-eval is installed, whose
    classes run their calls. NotFoundError where no category has a file."""
    base = base_of(folder)
    found = [c for c in (*CALLING, *SILENT, *TURNS) if file_of(base, c).is_file()]
    if not found:
        raise NotFoundError(
            f"there are no files BFCL_v4_<category>.json in {base}",
            "get them from the benchmark's repository",
        )
    for category in found:
        if category not in TURNS:
            yield from single(base, category)
        elif installed():
            # Imported on use: it needs the function documents, which single replies do without.
            from adapt.evals.bfcl.conversations import conversations

            yield from conversations(base, category)


def base_of(folder: Path) -> Path:
    """Where the questions lie: the folder, or its `dev`."""
    return folder / "dev" if (folder / "dev").is_dir() else folder


def file_of(base: Path, category: str, part: str = "") -> Path:
    """The file of a category; `part` is a folder such as possible_answer."""
    return _either(base / part / f"BFCL_v4_{category}")


def documents_of(base: Path, name: str) -> Path:
    """The file of function documents of that name, beside the questions or in `docs`."""
    folders = (base / "multi_turn_func_doc", base.parent / "docs" / "multi_turn_func_doc")
    return _either(next((one for one in folders if one.is_dir()), folders[0]) / name)


def _either(stem: Path) -> Path:
    """A file of JSON lines, which are called .json as published."""
    published = Path(f"{stem}.json")
    return published if published.is_file() else Path(f"{stem}.jsonl")


def answers(base: Path, category: str) -> dict[str, list[Any]]:
    """Listed answers by id."""
    path = file_of(base, category, "possible_answer")
    return {
        field(record, "id", where, str): field(record, "ground_truth", where, list)
        for where, record in lines(path)
    }


def single(base: Path, category: str) -> Iterator[Case]:
    """The items of a category that one reply settles."""
    listed = {} if category in SILENT else answers(base, category)
    for where, record in lines(file_of(base, category)):
        functions = [f for f in field(record, "function", where, list) if isinstance(f, dict)]
        shown = shown_names(field(f, "name", where, str) for f in functions)
        name = field(record, "id", where, str)
        if category in SILENT:
            check: dict[str, Any] = {"kind": "silence"}
            gold = Gold("None of the functions that I have can do this.")
        else:
            if name not in listed:
                raise ConfigError(f"{where}: {name} has no answer", "mend possible_answer")
            calls = [_wanted(answer, functions, shown, where) for answer in listed[name]]
            check = {"kind": "calls", "rule": "bfcl", "calls": calls}
            gold = Gold(calls=tuple((call["name"], gold_arguments(call)) for call in calls))
        item = Item(
            suite="bfcl", slice=category, name=name, check=check,
            messages=first_messages(record, where),
            tools=tuple(tool_of(function, shown, where) for function in functions),
        )  # fmt: skip
        yield Case(item, gold)


def first_messages(record: Mapping[str, Any], where: str) -> tuple[Message, ...]:
    """The messages before the first reply. ConfigError."""
    turns = field(record, "question", where, list)
    if not turns or not isinstance(turns[0], list):
        raise ConfigError(f"{where}: 'question' is no list of turns", "mend the file")
    return tuple(
        Message.model_validate(
            {"role": field(m, "role", where, str), "content": field(m, "content", where, str)}
        )
        for m in turns[0]
    )


def tool_of(function: Mapping[str, Any], shown: Mapping[str, str], where: str) -> dict[str, Any]:
    """A function document in OpenAI's shape."""
    parameters = field(function, "parameters", where, dict)
    name = shown[field(function, "name", where, str)]
    return as_tool(name, str(function.get("description", "")), parameters)


def gold_arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    """The first listed value of every documented argument; one that can only be left out is."""
    made: dict[str, Any] = {}
    for name, argument in call["arguments"].items():
        if argument["type"] is None:
            continue
        values = [value for value in argument["values"] if value != ""]
        if values:
            made[name] = _concrete(values[0], argument)
        elif name in call["required"]:
            made[name] = ""
    return made


def _wanted(
    answer: Any, functions: list[dict[str, Any]], shown: Mapping[str, str], where: str
) -> dict[str, Any]:
    """One listed call with the documented types, as scoring.bfcl_ast reads it. ConfigError."""
    if not isinstance(answer, dict) or len(answer) != 1:
        raise ConfigError(f"{where}: an answer is not one call by name", "mend possible_answer")
    [(name, values)] = answer.items()
    function = next((f for f in functions if f["name"] == name), None)
    if function is None or not isinstance(values, dict):
        raise ConfigError(
            f"{where}: the answer calls {name!r}, which is none of its functions",
            "mend possible_answer",
        )
    parameters = field(function, "parameters", where, dict)
    properties = field(parameters, "properties", where, dict)
    arguments: dict[str, Any] = {}
    for argument in values:
        document = properties.get(argument) or {}
        listed = field(values, argument, where, list)
        items = (document.get("items") or {}).get("type")
        arguments[argument] = {
            "type": _type(document.get("type"), where),
            "items": _type(items, where) if document.get("type") in ("array", "tuple") else None,
            "values": listed,
        }
    return {
        "name": shown[name],
        "required": list(parameters.get("required") or ()),
        "arguments": arguments,
    }


def _type(named: Any, where: str) -> str | None:
    if named is not None and named not in TYPES:
        raise ConfigError(f"{where}: no type {named!r}", f"there are: {', '.join(TYPES)}")
    return named


def _concrete(value: Any, argument: Mapping[str, Any]) -> Any:
    """A listed value as a call has it: dicts list values by key."""
    if argument["type"] == "dict" and isinstance(value, dict):
        return _first_of_each(value)
    if argument["items"] == "dict" and isinstance(value, list):
        return [_first_of_each(one) for one in value]
    return value


def _first_of_each(listed: Any) -> Any:
    if not isinstance(listed, dict):
        return listed
    return {key: values[0] for key, values in listed.items() if values and values[0] != ""}


BENCHMARK = Benchmark(
    "bfcl",
    "Berkeley Function Calling Leaderboard v4: calls matched by AST, silence where nothing fits; "
    "multi-turn conversations by end states and replies, where bfcl-eval is installed",
    load,
    exceptions=dict.fromkeys(
        (
            "live_simple_106-63-0", "live_simple_112-68-0", "live_multiple_507-149-4",
            "live_multiple_862-181-3", "live_multiple_964-207-0",
        ),
        _INCONSISTENT,
    ),
)  # fmt: skip
