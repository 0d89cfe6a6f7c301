"""The queries of ToolBench and StableToolBench, read from their files.

A query is a request, the APIs that it offers and those of them that are relevant. What a model is
shown of them is made in adapt.evals.toolbench.functions. Called by the loader
adapt.evals.published.stabletoolbench.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapt.evals.published.reading import field, records
from store.errors import ConfigError

CATEGORIES = frozenset(
    "Advertising Artificial_Intelligence_Machine_Learning Business Business_Software Commerce "
    "Communication Cryptography Customized Cybersecurity Data Database Devices Education Email "
    "Energy Entertainment Events Finance Financial Food Gaming Health_and_Fitness Jobs Location "
    "Logistics Mapping Media Medical Monitoring Movies Music News_Media Other Payments Reward SMS "
    "Science Search Social Sports Storage Text_Analysis Tools Translation Transportation Travel "
    "Video_Images Visual_Recognition Weather eCommerce".split()
)
"""RapidAPI's categories as ToolBench writes them, and `Customized` for tools of one's own."""
_MEND = "mend the record, or get the file again from the benchmark's repository"


@dataclass(frozen=True)
class Parameter:
    """One parameter of an API. `type` is RapidAPI's word, such as STRING or NUMBER."""

    name: str
    type: str
    description: str
    default: Any
    """An example value, empty where there is none."""
    required: bool


@dataclass(frozen=True)
class Api:
    """One API as its query has it. `template` is the shape of its replies, None where unknown."""

    category: str
    tool: str
    name: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    template: Any = None


@dataclass(frozen=True)
class Query:
    """One request. `relevant` are places in `apis`, each once, in the file's order."""

    id: str
    text: str
    apis: tuple[Api, ...]
    relevant: tuple[int, ...]


def read_queries(path: Path) -> Iterator[Query]:
    """The queries of one file, in order.

    NotFoundError for a missing file. ConfigError names the file and the record: a field that lacks
    or has the wrong type, a category that ToolBench does not have, an id that stands twice, a
    query without APIs, a relevant API that is none of its own.
    """
    seen: set[str] = set()
    for where, record in records(path):
        query = _query(record, where)
        if query.id in seen:
            raise ConfigError(f"{where}: the query id {query.id} stands twice", _MEND)
        seen.add(query.id)
        yield query


def _query(record: Mapping[str, Any], where: str) -> Query:
    if "query_id" not in record:
        raise ConfigError(f"{where} lacks 'query_id'", _MEND)
    listed = field(record, "api_list", where, list)
    if not listed:
        raise ConfigError(f"{where} offers no API", _MEND)
    apis = tuple(_api(one, f"{where}, API {place}") for place, one in enumerate(listed, 1))
    text = field(record, "query", where, str)
    if not text.strip():
        raise ConfigError(f"{where}: the query is empty", _MEND)
    return Query(str(record["query_id"]), text, apis, _relevant(record, apis, where))


def _relevant(record: Mapping[str, Any], apis: tuple[Api, ...], where: str) -> tuple[int, ...]:
    places: dict[tuple[str, ...], int] = {
        (api.tool, api.name): place for place, api in reversed(list(enumerate(apis)))
    }
    relevant: dict[int, None] = {}
    for pair in field(record, "relevant APIs", where, list):
        texts = isinstance(pair, list) and all(isinstance(part, str) for part in pair)
        place = places.get(tuple(pair)) if texts else None
        if place is None:
            raise ConfigError(f"{where}: the relevant API {pair!r} is not in its api_list", _MEND)
        relevant[place] = None
    if not relevant:
        raise ConfigError(f"{where} has no relevant APIs", _MEND)
    return tuple(relevant)


def _api(record: Any, where: str) -> Api:
    if not isinstance(record, dict):
        raise ConfigError(f"{where} is no JSON object", _MEND)
    category = field(record, "category_name", where, str)
    if category not in CATEGORIES:
        raise ConfigError(
            f"{where}: {category!r} is no category of ToolBench",
            f"there are: {', '.join(sorted(CATEGORIES))}",
        )
    api = Api(
        category,
        field(record, "tool_name", where, str),
        field(record, "api_name", where, str),
        field(record, "api_description", where, str) if "api_description" in record else "",
        template=record.get("template_response"),
    )
    parameters: list[Parameter] = []
    for key, required in (("required_parameters", True), ("optional_parameters", False)):
        for place, one in enumerate(field(record, key, where, list), 1):
            parameters.append(_parameter(one, required, f"{where}, {key} {place}"))
    return replace(api, parameters=tuple(parameters))


def _parameter(record: Any, required: bool, where: str) -> Parameter:
    if not isinstance(record, dict):
        raise ConfigError(f"{where} is no JSON object", _MEND)
    return Parameter(
        field(record, "name", where, str),
        field(record, "type", where, str),
        str(record.get("description") or ""),
        record.get("default", ""),
        required,
    )
