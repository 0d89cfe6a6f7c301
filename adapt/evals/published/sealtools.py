"""Loader of Seal-Tools: one request, the calls that it needs, some nested in others.

Reads questions (`dev.jsonl`, or any other file of them), the API documents in `tool.jsonl`, and
`*_candidates.jsonl`: the APIs that the published prompt offers. The wanted APIs are offered in any
case; questions without candidates are offered others, drawn by the question's id. Scored by rule
`one_to_one`; called by adapt.evals.benchmarks.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from adapt.evals.benchmarks import Benchmark, Case, Gold
from adapt.evals.items import Item
from adapt.evals.published.offering import offered
from adapt.evals.published.reading import as_tool, field, files, records, shown_names
from store.errors import ConfigError
from store.records import Message

OFFERED = 5
"""APIs that a question offers, as in the published prompts; more where it needs more."""
SYSTEM = """\
Make all the calls that the request needs, in its order, all in one reply. Give the parameters \
that the request has values for, in its words. The fields that calls return are numbered through \
all your calls, from 0: where a parameter needs one of them, its value is API_call_ and the number \
of the field."""
_DOCUMENTS = "tool.jsonl"
_CANDIDATES = "_candidates"


def load(folder: Path) -> Iterator[Case]:
    """Items of all files of questions; the id's middle (`easy`, `difficult`) is the slice."""
    documents = {
        field(record, "api_name", where, str): (where, record)
        for where, record in records(files(folder, _DOCUMENTS)[0])
    }
    shown = shown_names(documents)
    # As they are offered: thousands are documented and few are in any one item.
    tool = cache(lambda api: _tool(shown[api], *documents[api]))
    paths = [path for path in files(folder, "*.jsonl") if path.name != _DOCUMENTS]
    candidates = {
        field(record, "id", where, str): field(record, "candidate_apis", where, list)
        for path in paths if path.stem.endswith(_CANDIDATES)
        for where, record in records(path)
    }  # fmt: skip
    for path in paths:
        if path.stem.endswith(_CANDIDATES):
            continue
        for where, record in records(path):
            name = field(record, "id", where, str)
            catalogue = [api for api in candidates.get(name, documents) if api in documents]
            yield _case(name, where, record, catalogue, shown, tool)


def _tool(shown: str, where: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """The function, with the fields that it returns in its description: later calls refer to them.

    ConfigError where the document lacks a part.
    """
    returned = ", ".join(field(record, "responses", where, dict))
    parameters = {
        "properties": field(record, "parameters", where, dict),
        "required": field(record, "required", where, list),
    }
    text = field(record, "api_description", where, str)
    return as_tool(shown, f"{text}\nReturns: {returned}", parameters)


def _case(
    name: str, where: str, record: Mapping[str, Any], catalogue: list[str],
    shown: Mapping[str, str], tool: Callable[[str], dict[str, Any]],
) -> Case:  # fmt: skip
    calling = [
        (field(call, "api", where, str), field(call, "parameters", where, dict))
        for call in field(record, "calling", where, list)
    ]
    for api, _ in calling:
        if api not in shown:
            raise ConfigError(f"{where}: no document describes {api!r}", "get the files anew")
    calls = tuple((shown[api], arguments) for api, arguments in calling)
    item = Item(
        suite="sealtools", slice=name.split("-")[-2] if "-" in name else "", name=name,
        messages=(
            Message(role="system", content=SYSTEM),
            Message(role="user", content=field(record, "query", where, str)),
        ),
        tools=tuple(
            tool(api) for api in offered((api for api, _ in calling), catalogue, OFFERED, name)
        ),
        check={
            "kind": "calls", "rule": "one_to_one",
            "calls": [{"name": api, "arguments": arguments} for api, arguments in calls],
        },
    )  # fmt: skip
    return Case(item, Gold(calls=calls))


BENCHMARK = Benchmark(
    name="sealtools",
    about="all calls of a request, some nested; scored by one-to-one match, F1 beside it",
    load=load,
)
