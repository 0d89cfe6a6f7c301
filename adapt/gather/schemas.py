"""JSON Schema as ToolBench's lists of parameters, so that every API is learned in one shape.

A nested object or a list stays one parameter, described in words. Called by the kinds of sources
whose APIs are described otherwise.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tools.openapi_document import flat

Json = dict[str, Any]
_TYPES = {
    "integer": "INTEGER", "int": "INTEGER", "number": "NUMBER", "float": "NUMBER",
    "boolean": "BOOLEAN", "bool": "BOOLEAN", "array": "ARRAY", "list": "ARRAY",
    "object": "OBJECT", "dict": "OBJECT",
}  # fmt: skip
"""ToolBench's name of a type; every other is a string."""


def tool_json(name: str, description: str, category: str, apis: Iterable[Json]) -> str:
    """A tool in ToolBench's shape, as the text of a document."""
    tool = {
        "tool_name": name, "tool_description": flat(description), "category": category,
        "api_list": list(apis),
    }  # fmt: skip
    return json.dumps(tool, ensure_ascii=False, sort_keys=True)


def api_json(name: str, description: str, schema: Mapping[str, Any], method: str = "") -> Json:
    """One entry of `api_list`: `schema` is that of an object with the parameters."""
    wanted = schema.get("required")
    required = {str(one) for one in wanted} if isinstance(wanted, list) else set()
    parts: dict[bool, list[Json]] = {True: [], False: []}
    properties = schema.get("properties")
    for key, value in properties.items() if isinstance(properties, Mapping) else ():
        parts[str(key) in required].append(_parameter(str(key), value))
    made = {
        "name": name, "description": flat(description) or name.replace("_", " "),
        "required_parameters": parts[True], "optional_parameters": parts[False],
    }  # fmt: skip
    return made | ({"method": method} if method else {})


def _parameter(name: str, schema: object) -> Json:
    given: Mapping[str, Any] = schema if isinstance(schema, Mapping) else {}
    kind, choices = _type(given), given.get("enum")
    made: Json = {
        "name": name, "type": _TYPES.get(kind, "STRING"), "default": _plain(given.get("default")),
        "description": flat(given.get("description")) or _shape(given),
    }  # fmt: skip
    if given.get("format") == "date":
        made["type"] = "DATE"
    if isinstance(choices, list) and choices:
        made["enum"] = [_plain(choice) for choice in choices]
    return made


def _type(schema: Mapping[str, Any]) -> str:
    """The type, or the first that is not null of several."""
    kind = schema.get("type")
    if isinstance(kind, list):
        return next((str(one) for one in kind if one != "null"), "string")
    if kind is not None:
        return str(kind).lower()
    for word in ("anyOf", "oneOf", "allOf"):
        options = schema.get(word)
        for option in options if isinstance(options, list) else ():
            if isinstance(option, Mapping) and option.get("type") not in (None, "null"):
                return _type(option)
    return "object" if isinstance(schema.get("properties"), Mapping) else "string"


def _shape(schema: Mapping[str, Any]) -> str:
    """What a parameter without a description is made of; empty for a plain one."""
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and properties:
        return f"an object with {', '.join(map(str, properties))}"
    items = schema.get("items")
    if isinstance(items, Mapping):
        inner = flat(items.get("description")) or _shape(items) or _type(items)
        return f"a list, each: {inner}"
    return ""


def _plain(value: object) -> str | int | float | bool:
    if value is None:
        return ""
    return value if isinstance(value, str | int | float | bool) else json.dumps(value)
