"""Reading the files of published benchmarks: records with their places, fields, function schemas.

Knows no benchmark: what a record means is its loader's business. Faults of a file are ConfigErrors
that name the file and the line or record. Called by the loaders beside it.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from store.errors import ConfigError, NotFoundError

Value = TypeVar("Value")

NAME_CHARS = 64
"""Longest name of a function that a model may be shown."""
_MEND = "mend the file, or get it again from the benchmark's repository"


def files(folder: Path, pattern: str) -> list[Path]:
    """Files in a folder, or in folders inside it, by a pattern of their names, ordered by name.

    NotFoundError where there is none.
    """
    found = sorted(folder.rglob(pattern), key=lambda path: (path.name, path))
    if not found:
        raise NotFoundError(
            f"there is no {pattern} in {folder}", "get it from the benchmark's repository"
        )
    return found


def document(path: Path) -> Any:
    """The JSON value that a whole file holds. NotFoundError, ConfigError."""
    return parsed(_text(path), str(path))


def parsed(text: str, where: str) -> Any:
    """The JSON value that a text is. ConfigError names the place, and the line in a longer text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{where}:{error.lineno}" if "\n" in text.strip() else where
        raise ConfigError(f"{place} is no JSON: {error.msg}", _MEND) from error
    except (ValueError, RecursionError) as error:
        # Numbers of thousands of digits, and nesting beyond the stack.
        raise ConfigError(f"{where} is no JSON that can be read: {error}", _MEND) from error


def records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """("file:line", record) of a .jsonl file, ("file:record 1", record) of a .json list.

    Blank lines are no records. NotFoundError for a file that is not there; ConfigError for what is
    no JSON object.
    """
    if path.suffix != ".json":
        yield from lines(path)
        return
    listed = document(path)
    if not isinstance(listed, list):
        raise ConfigError(f"{path} is no list of records", _MEND)
    for n, record in enumerate(listed, 1):
        yield f"{path}:record {n}", _object(record, f"{path}:record {n}")


def lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """("file:line", record) of a file of JSON lines, whatever its name ends in. As `records`."""
    # By "\n" alone: splitlines would also cut at separators inside JSON strings.
    for n, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            yield f"{path}:{n}", _object(parsed(line, f"{path}:{n}"), f"{path}:{n}")


def field(record: Mapping[str, Any], key: str, where: str, kind: type[Value]) -> Value:
    """`record[key]`, which must be a `kind`. ConfigError names the place and the key."""
    if key not in record:
        raise ConfigError(f"{where} lacks {key!r}", _MEND)
    value = record[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, float)):
        found = type(value).__name__
        raise ConfigError(f"{where}: {key!r} is of type {found}, not {kind.__name__}", _MEND)
    return value


def shown_names(names: Iterable[str]) -> dict[str, str]:
    """Names that a model may be shown, by published name: [A-Za-z0-9_-]{1,64}, each once.

    Of two names that become one, the later gets a mark made of its published name.
    """
    shown: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        if name in shown:
            continue
        fit = _fit(name)
        if fit in taken:
            mark = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
            fit = f"{fit[: NAME_CHARS - 9]}_{mark}"
        shown[name] = fit
        taken.add(fit)
    return shown


def as_tool(name: str, description: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A function in OpenAI's shape. `parameters` is the schema of an object, in any dialect.

    The name is made fit; where names must also be distinct, give those of `shown_names`.
    """
    schema = json_schema({**parameters, "type": "object"})
    schema.setdefault("properties", {})
    function = {"name": _fit(name), "description": description, "parameters": schema}
    return {"type": "function", "function": function}


def json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A valid JSON Schema from what benchmarks call one: their types by JSON's names.

    Types that JSON lacks are dropped, as are words that say nothing of the value; a property that
    calls itself required is put on its object's list.
    """
    clean: dict[str, Any] = {}
    if kind := _type_of(schema.get("type")):
        clean["type"] = kind
    for word, allowed in _KEPT.items():
        value = schema.get(word)
        if isinstance(value, allowed) and not isinstance(value, bool):
            clean[word] = value
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        clean["enum"] = list(schema["enum"])
    if "default" in schema:
        clean["default"] = schema["default"]
    if isinstance(schema.get("items"), dict):
        clean["items"] = json_schema(schema["items"])
    for word in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(word), list) and schema[word]:
            clean[word] = [json_schema(one) for one in schema[word] if isinstance(one, dict)]
    if isinstance(schema.get("properties"), dict):
        clean |= _properties(schema["properties"], schema.get("required"))
    return clean


_KEPT: dict[str, type | tuple[type, ...]] = {
    "description": str,
    "format": str,
    "minimum": (int, float),
    "maximum": (int, float),
    "minItems": int,
    "maxItems": int,
    "minLength": int,
    "maxLength": int,
}
"""Words of a schema that are kept as they stand, where their value is of the right type."""

_TYPES = {
    "object": "object", "dict": "object", "dictionary": "object", "map": "object",
    "hashmap": "object",
    "array": "array", "list": "array", "tuple": "array", "set": "array", "arraylist": "array",
    "number": "number", "float": "number", "double": "number",
    "integer": "integer", "int": "integer", "long": "integer",
    "string": "string", "str": "string", "char": "string",
    "boolean": "boolean", "bool": "boolean",
    "null": "null", "none": "null",
}  # fmt: skip
"""JSON's types by the names that benchmarks have for them; any other says nothing."""


def _type_of(named: Any) -> str | list[str] | None:
    """`named` as JSON Schema has it: list(str) is an array, a union with an unknown is unknown."""
    if isinstance(named, list):
        kinds = [_TYPES.get(str(one).strip().lower(), "") for one in named]
        return list(dict.fromkeys(kinds)) if kinds and all(kinds) else None
    if not isinstance(named, str):
        return None
    outer = re.match(r"\s*(\w*)\s*([\[(].*)?$", named, re.DOTALL)
    return _TYPES.get(outer[1].lower()) if outer else None


def _properties(properties: Mapping[str, Any], required: Any) -> dict[str, Any]:
    """`properties`, and `required` where any is."""
    kept = {str(name): one for name, one in properties.items() if isinstance(one, dict)}
    named = required if isinstance(required, list) else []
    listed = [name for name in named if isinstance(name, str) and name in kept]
    listed += [name for name, one in kept.items() if one.get("required") is True]
    clean: dict[str, Any] = {"properties": {name: json_schema(kept[name]) for name in kept}}
    if listed:
        clean["required"] = list(dict.fromkeys(listed))
    return clean


def _fit(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:NAME_CHARS] or "_"


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is no JSON object", _MEND)
    return value


def _text(path: Path) -> str:
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}", "get it from the benchmark's repository")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no UTF-8 at byte {error.start}", _MEND) from error
