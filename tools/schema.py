"""Parameters of tools that others wrote: whether they are a schema at all, whether a call fits it.

Templates and engines read schemas without care: one that is none would end every conversation in
which it is shown. Patterns of a schema are never run, since they may take for ever. Called by the
kinds of tools whose schemas come from elsewhere.
"""

import json
from collections.abc import Mapping
from typing import Any

from tools.plain import plain

MAX_CHARS = 20_000
"""Longest schema that is shown to a model, as JSON."""
MAX_DESCRIPTION = 1024
"""Most characters of a tool's description; the rest is cut off."""
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
    "array": (list,), "object": (dict,), "null": (type(None),),
}  # fmt: skip


def usable(schema: object) -> dict[str, Any]:
    """The schema of one object, as it can be shown to a model. ValueError says what is wrong.

    A schema that says nothing is one without parameters.
    """
    if schema is None:
        return {"type": "object", "properties": {}}
    if not isinstance(schema, Mapping):
        raise ValueError(f"its schema is no object but {type(schema).__name__}")
    try:
        text = plain(json.dumps(schema))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"its schema is not JSON: {error}") from error
    if len(text) > MAX_CHARS:
        raise ValueError(f"its schema has {len(text)} characters, over {MAX_CHARS}")
    made: dict[str, Any] = json.loads(text)
    if made.setdefault("type", "object") != "object":
        raise ValueError(f"its schema is of type {str(made['type'])[:40]}, and must be an object")
    properties = made.setdefault("properties", {})
    _check(made)
    # Tokens that tell a model nothing.
    made.pop("$schema", None)
    for name, about in properties.items():
        if isinstance(about, bool):
            # Allowed by the standard, and read by no template.
            properties[name] = {}
    return made


def _check(schema: dict[str, Any]) -> None:
    import jsonschema
    from jsonschema.validators import validator_for

    try:
        validator_for(schema, jsonschema.Draft202012Validator).check_schema(schema)
    except (jsonschema.SchemaError, RecursionError) as error:
        said = getattr(error, "message", str(error))
        raise ValueError(f"its schema is no JSON schema: {said[:200]}") from error


def described(text: object, otherwise: str) -> str:
    """A description as it can be shown: on one line, without marks, cut; `otherwise` for none."""
    words = " ".join(str(text or "").split())
    return plain(words[:MAX_DESCRIPTION]) or otherwise


def problem_of(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    """What keeps arguments from fitting the parameters, empty when nothing is seen to: names,
    types and choices are looked at, and nothing inside them."""
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in arguments:
            return f"parameter {name} is missing"
    for name, value in arguments.items():
        if name not in properties:
            if schema.get("additionalProperties") is False:
                return f"there is no parameter {name}; there are: {', '.join(properties) or 'none'}"
            continue
        about = properties[name]
        if not _fits(about.get("type"), value):
            return f"parameter {name} must be {_words(about['type'])}"
        choices = about.get("enum")
        if choices is not None and value not in choices:
            return f"parameter {name} must be one of: {', '.join(map(str, choices))}"
    return ""


def _fits(kind: object, value: object) -> bool:
    kinds = kind if isinstance(kind, list) else [kind]
    for one in kinds:
        types = _TYPES.get(str(one))
        if types is None:
            return True
        # True is an int to Python, and no number to anyone else.
        if isinstance(value, types) and (bool in types or not isinstance(value, bool)):
            return True
        if one == "integer" and isinstance(value, float) and value.is_integer():
            return True
    return False


def _words(kind: object) -> str:
    return " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind)
