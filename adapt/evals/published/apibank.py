"""Loader of API-Bank, levels 1 and 2: the next call of a dialogue.

Reads `hammer_apibank_l1.json` and `..._l2.json`: each call of API-Bank's dialogues as an item with
its functions, as MadeAgents/Hammer publishes them. The dialogues themselves name no functions that
are offered, so they are not read. In level 2 the functions that ToolSearcher has found so far are
offered; of a search only that it is one is judged, for its keywords are free. Scored by rule
`one_to_one`; called by adapt.evals.benchmarks.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapt.evals.benchmarks import Benchmark, Case, Gold
from adapt.evals.items import Item
from adapt.evals.published.reading import as_tool, field, files, parsed, records
from store.errors import ConfigError
from store.records import Message

SYSTEM = """\
You help with calls of functions. Make the one call that the dialogue needs next. Values are texts \
in the format that the function asks for."""
NUDGE = "Make the call now."
"""Said where the assistant spoke last: few chat templates let it go on by itself."""
_ASKS = "Generate API Request:"
"""How the files end every dialogue."""
SEARCH = "ToolSearcher"
_Call = dict[str, Any]


def load(folder: Path) -> Iterator[Case]:
    """Items of both levels, named by level and place in the file."""
    for path in files(folder, "hammer_apibank_l*.json"):
        level = path.stem.rsplit("_l", 1)[-1]
        for number, (where, record) in enumerate(records(path), 1):
            yield _case(f"l{level}-{number}", f"level{level}", where, record)


def _case(name: str, level: str, where: str, record: Mapping[str, Any]) -> Case:
    tools = [_tool(where, tool) for tool in field(record, "tools", where, list)]
    answers = _calls(field(record, "answers", where, list), where)
    calls = [a | {"open": ["keywords"]} if a["name"] == SEARCH else a for a in answers]
    item = Item(
        suite="apibank", slice=level, name=name,
        messages=_messages(field(record, "query", where, list), where), tools=tuple(tools),
        check={"kind": "calls", "rule": "one_to_one", "calls": calls},
    )  # fmt: skip
    return Case(item, Gold(calls=tuple((a["name"], a["arguments"]) for a in answers)))


def _tool(where: str, tool: Mapping[str, Any]) -> dict[str, Any]:
    return as_tool(
        field(tool, "name", where, str), field(tool, "description", where, str),
        {"properties": field(tool, "parameters", where, dict)},
    )  # fmt: skip


def _calls(listed: list[Any], where: str) -> list[_Call]:
    return [
        {"name": field(c, "name", where, str), "arguments": field(c, "arguments", where, dict)}
        for c in listed
    ]


def _messages(query: list[Any], where: str) -> tuple[Message, ...]:
    """The dialogue so far. What the assistant says and calls in one turn is one message."""
    messages = [Message(role="system", content=SYSTEM)]
    for turn in query:
        said, text = field(turn, "role", where, str), field(turn, "content", where, str)
        text = text.removesuffix(_ASKS).strip()
        if said in ("user", "tool"):
            messages.append(Message(role=said, content=text))
        elif said == "agent":
            messages.append(Message(role="assistant", content=text))
        elif said == "assistant":
            before = messages.pop().content if messages[-1].role == "assistant" else ""
            calls = _calls(_written(text, where), where)
            messages.append(Message(role="assistant", content=before, tool_calls=tuple(calls)))
        else:
            raise ConfigError(f"{where}: a turn of {said!r} is not known", "get the file anew")
    if messages[-1].role == "assistant":
        messages.append(Message(role="user", content=NUDGE))
    return tuple(messages)


def _written(text: str, where: str) -> list[Any]:
    """The calls of an earlier turn, which the files write as JSON between marks."""
    calls = parsed(text.strip("`"), f"{where}: {text!r}")
    if not isinstance(calls, list):
        raise ConfigError(f"{where}: calls that are no list: {text!r}", "get the file anew")
    return calls


_DEVICE = "its call has a device_id, which its document calls name"
_ABSENT = "the function that it wants is not among those that it offers"
_EXCEPTIONS = {
    **dict.fromkeys(
        ("l1-62", "l1-131", "l1-165", "l1-168", "l1-216", "l1-262", "l1-271", "l1-358"), _DEVICE
    ),
    **dict.fromkeys(("l2-27", "l2-67", "l2-82", "l2-105", "l2-106", "l2-118"), _ABSENT),
}

BENCHMARK = Benchmark(
    name="apibank",
    about="the next call of a dialogue; scored by function and arguments",
    load=load,
    exceptions=_EXCEPTIONS,
)
