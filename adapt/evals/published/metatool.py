"""Loader of MetaTool's single-tool questions: choose the tool that fits, by descriptions.

Reads `single_tool.jsonl` and the descriptions of `plugin_des.json`; tools that the benchmark merged
from several alike (`big_tool_des.json`) are a slice of their own. A question offers its tool among
others drawn by its words, none of them right by another line of the file. Scored by rule
`one_to_one`, by names alone; called by adapt.evals.benchmarks.
"""

from collections.abc import Iterator
from pathlib import Path

from adapt.evals.benchmarks import Benchmark, Case, Gold
from adapt.evals.items import Item
from adapt.evals.published.offering import offered
from adapt.evals.published.reading import as_tool, document, field, files, records, shown_names
from store.errors import ConfigError
from store.records import Message

OFFERED = 10
"""Tools that a question offers."""
SYSTEM = "Call the one tool that fits the request best. The tools take no parameters."


def load(folder: Path) -> Iterator[Case]:
    """Items in the file's order, named by place. ConfigError for a tool without description."""
    described = _texts(files(folder, "plugin_des.json")[0])
    merged = _texts(files(folder, "big_tool_des.json")[0])
    shown = shown_names(described)
    tools = {name: as_tool(shown[name], text, {}) for name, text in described.items()}
    catalogue = list(described)
    path = files(folder, "single_tool.jsonl")[0]
    lines = [
        (where, field(record, "Query", where, str), field(record, "Tool", where, str))
        for where, record in records(path)
    ]
    right: dict[str, set[str]] = {}
    for where, query, tool in lines:
        if tool not in described:
            raise ConfigError(f"{where}: no description of {tool!r}", "get the files anew")
        right.setdefault(query, set()).add(tool)
    for number, (_, query, tool) in enumerate(lines, 1):
        names = offered([tool], catalogue, OFFERED, query, never=right[query])
        item = Item(
            suite="metatool", slice="merged" if tool in merged else "plugin", name=str(number),
            messages=(Message(role="system", content=SYSTEM), Message(role="user", content=query)),
            tools=tuple(tools[name] for name in names),
            check={
                "kind": "calls", "rule": "one_to_one", "further": "any",
                "calls": [{"name": shown[tool], "arguments": {}}],
            },
        )  # fmt: skip
        yield Case(item, Gold(calls=((shown[tool], {}),)))


def _texts(path: Path) -> dict[str, str]:
    """Descriptions by name."""
    texts = document(path)
    if not isinstance(texts, dict):
        raise ConfigError(f"{path} is no object of descriptions", "get the file anew")
    return {name: field(texts, name, str(path), str) for name in texts}


BENCHMARK = Benchmark(
    name="metatool",
    about="the one tool of ten that fits a request; scored by its name",
    load=load,
)
