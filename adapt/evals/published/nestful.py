"""Loader of NESTFUL's non-executable data: sequences of calls that use each other's results.

Reads `*-data.json` with the documents of the same name in `*-spec.json`. A question offers its
functions among others drawn by its name. The last published call, `var_result`, only gathers
results under names of its writer's choice: it is neither asked for nor judged. Scored by
adapt.evals.scoring.nestful_rules; called by adapt.evals.benchmarks.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapt.evals.benchmarks import Benchmark, Case, Gold
from adapt.evals.items import Item
from adapt.evals.published.offering import offered
from adapt.evals.published.reading import as_tool, field, files, records, shown_names
from adapt.evals.scoring.nestful_rules import GATHERING
from store.errors import ConfigError
from store.records import Message

OFFERED = 10
"""Functions that a question offers."""
SYSTEM = """\
Make all the calls that the request needs, in its order, all in one reply. The result of the first \
call is $var1$, of the second $var2$ and so on; $var1.price$ is its field price. Where a parameter \
needs a result of an earlier call, give it so; other values have the request's words."""


def load(folder: Path) -> Iterator[Case]:
    """Items by file, whose middle name (`glaive`, `sgd`) is the slice."""
    for path in files(folder, "*-data.json"):
        stem = path.name.removesuffix("-data.json")
        source = stem.removeprefix("non-").removeprefix("executable-")
        specification = files(folder, f"{stem}-spec.json")[0]
        documents = {
            field(record, "name", where, str): (where, record)
            for where, record in records(specification)
        }
        shown = shown_names(documents)
        tools = {name: _tool(shown[name], *documents[name]) for name in documents}
        for number, (where, record) in enumerate(records(path), 1):
            yield _case(f"{source}-{number}", source, where, record, shown, tools)


def _tool(shown: str, where: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """The function, with the fields of its result in its description: later calls refer to them."""
    # Three writers, three names for the parameters.
    key = next((k for k in ("query_parameters", "parameters") if k in record), "arguments")
    parameters = field(record, key, where, dict)
    returned = ", ".join(field(record, "output_parameters", where, dict))
    properties = {name: _property(one) for name, one in parameters.items()}
    text = field(record, "description", where, str)
    return as_tool(shown, f"{text}\nReturns: {returned}", {"properties": properties})


def _property(parameter: Any) -> Any:
    """A parameter in the words of JSON Schema, where it says which values it allows."""
    if not isinstance(parameter, dict):
        return parameter
    words = {"enum": parameter.get("allowed_values"), "default": parameter.get("default_value")}
    return parameter | {word: value for word, value in words.items() if value}


def _case(
    name: str, source: str, where: str, record: Mapping[str, Any],
    shown: Mapping[str, str], tools: Mapping[str, dict[str, Any]],
) -> Case:  # fmt: skip
    output = field(record, "output", where, list)
    called = [call for call in output if field(call, "name", where, str) != GATHERING]
    if not called:
        raise ConfigError(f"{where} has no call", "get the file anew")
    calls = [
        {
            "name": shown.get(call["name"], call["name"]),
            "arguments": field(call, "arguments", where, dict),
            "label": str(call.get("label", "")),
        }
        for call in called
    ]
    known = [call["name"] for call in called if call["name"] in tools]
    item = Item(
        suite="nestful", slice=source, name=name,
        messages=(
            Message(role="system", content=SYSTEM),
            Message(role="user", content=field(record, "input", where, str)),
        ),
        tools=tuple(tools[one] for one in offered(known, list(tools), OFFERED, name)),
        check={"kind": "calls", "rule": "nestful", "calls": calls},
    )  # fmt: skip
    return Case(item, Gold(calls=tuple((call["name"], call["arguments"]) for call in calls)))


_NO_FUNCTION = "it calls a function that no document describes"
_NO_PARAMETER = "it gives a parameter that the function's document lacks"
_EXCEPTIONS = {
    **{f"glaive-{n}": _NO_FUNCTION for n in (5, 9, 25, 29, 32, 40, 45, 47, 49, 82)},
    **{f"glaive-{n}": _NO_PARAMETER for n in (57, 58, 66, 70, 75, 89, 92, 97, 157, 167)},
    **{f"sgd-{n}": _NO_PARAMETER for n in (8, 18)},
}

BENCHMARK = Benchmark(
    name="nestful",
    about="sequences of calls on each other's results; scored as a whole, F1 beside it",
    load=load,
    exceptions=_EXCEPTIONS,
)
