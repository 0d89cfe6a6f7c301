"""OpenAPI documents (and Swagger 2) read: their operations, with parameters and bodies.

Documents are written by others, and by hand: what is missing or of another kind counts as not
there. Nothing is fetched and nothing is called. Called by tools.openapi, adapt.gather.openapi and
adapt.evals.published.openapi.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

METHODS = ("get", "post", "put", "delete", "patch")
DEPTH = 8
"""How deep references are followed: schemas may contain themselves."""
MAX_DEPTH = 200
"""How deep a document in YAML may be nested."""
MAX_NODES = 200_000
"""Most values of one part of a document with its references in place: in YAML a few lines that
refer to each other can stand for more than memory holds."""
_TAG = re.compile(r"<[^>]{1,200}>")
"""HTML in descriptions."""


@dataclass(frozen=True)
class Parameter:
    """One value that an operation takes."""

    name: str
    place: str
    """path, query, header or cookie; in Swagger 2 also formData."""
    schema: dict[str, Any]
    required: bool


@dataclass(frozen=True)
class Body:
    """What an operation takes beside its parameters, in one of its forms."""

    media_type: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Operation:
    """One thing that can be asked of an API."""

    path: str
    method: str
    """In lower case."""
    name: str
    """Its operationId, else made of method and path; letters, digits and _.- only."""
    description: str
    tags: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    bodies: tuple[Body, ...]


def parsed(text: str) -> Mapping[str, Any]:
    """The document of a text in JSON or YAML. ValueError says why it is none."""
    import yaml

    try:
        try:
            value = json.loads(text)
        except ValueError:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            _refuse_deep(text, loader)
            value = yaml.load(text, Loader=loader)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"it is neither JSON nor YAML: {flat(error)}") from error
    if not isinstance(value, Mapping):
        raise ValueError("it is no object with openapi and paths")
    if not isinstance(value.get("paths"), Mapping) or not (
        "openapi" in value or "swagger" in value
    ):
        raise ValueError("it has no openapi and paths")
    return value


def _refuse_deep(text: str, loader: Any) -> None:
    """ValueError for YAML nested so deep that the library written in C would end our process."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


def operations(document: Mapping[str, Any], depth: int = DEPTH) -> Iterator[Operation]:
    """The operations in the document's order. ValueError for one too large to be read."""
    for path, entry in document["paths"].items():
        item = entry if isinstance(entry, Mapping) else {}
        for method in METHODS:
            operation = item.get(method)
            if isinstance(operation, Mapping):
                yield _operation(str(path), method, operation, item, document, depth)


def server_of(document: Mapping[str, Any], location: str) -> str:
    """Where a document says that its operations are called; "" when it does not say. What is said
    relative to the document is joined to `location`."""
    base = location if location.startswith(("http://", "https://")) else ""
    for server in _listed(document.get("servers")):
        if isinstance(server, Mapping) and isinstance(server.get("url"), str):
            made = urljoin(base, _filled(server["url"], server.get("variables")))
            return made.rstrip("/") if made.startswith(("http://", "https://")) else ""
    host = document.get("host")
    if isinstance(host, str) and host:
        schemes = [s for s in _listed(document.get("schemes")) if s in ("http", "https")]
        scheme = "https" if "https" in schemes or not schemes else schemes[0]
        return f"{scheme}://{host}{document.get('basePath') or ''}".rstrip("/")
    return urljoin(base, "/").rstrip("/")


def resolved(schema: Any, document: Mapping[str, Any], depth: int = DEPTH) -> Any:
    """A part of a document with what it refers to in place; {} for a reference to nothing.

    ValueError when that is more than MAX_NODES values.
    """
    return _resolved(schema, document, depth, [MAX_NODES])


def _resolved(schema: Any, document: Mapping[str, Any], depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(f"with its references in place it has more than {MAX_NODES} values")
    if isinstance(schema, list):
        return [_resolved(one, document, depth, left) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" not in schema:
        return {key: _resolved(one, document, depth, left) for key, one in schema.items()}
    target: Any = document
    for step in str(schema["$ref"]).removeprefix("#/").split("/"):
        target = target.get(step, {}) if isinstance(target, dict) else {}
    return _resolved(target, document, depth - 1, left) if depth else {}


def flat(text: object) -> str:
    """A description on one line."""
    return " ".join(str(text or "").split())


def plain_words(text: object) -> str:
    """A description on one line and without HTML."""
    return flat(_TAG.sub(" ", str(text or "")))


def _operation(
    path: str, method: str, operation: Mapping[str, Any], item: Mapping[str, Any],
    document: Mapping[str, Any], depth: int,
) -> Operation:  # fmt: skip
    """One operation. Its own parameters stand over those of its path."""
    parameters: dict[tuple[str, str], Parameter] = {}
    bodies: list[Body] = []
    for given in (*_listed(item.get("parameters")), *_listed(operation.get("parameters"))):
        one = resolved(given, document, depth)
        if not isinstance(one, Mapping) or not one.get("name"):
            continue
        if one.get("in") == "body":
            bodies += _body("application/json", one.get("schema"))
            continue
        made = _parameter(one)
        parameters[made.name, made.place] = made
    body = resolved(operation.get("requestBody"), document, depth)
    content = body.get("content") if isinstance(body, Mapping) else None
    for kind, about in content.items() if isinstance(content, Mapping) else ():
        bodies += _body(str(kind), about.get("schema") if isinstance(about, Mapping) else None)
    named = operation.get("operationId") or f"{method}_{path}"
    described = operation.get("description") or operation.get("summary") or f"{method} {path}"
    return Operation(
        path=path, method=method,
        name=re.sub(r"[^0-9A-Za-z_.-]+", "_", str(named)).strip("_") or "call",
        description=plain_words(described),
        tags=tuple(flat(tag) for tag in _listed(operation.get("tags")) if flat(tag)),
        parameters=tuple(parameters.values()), bodies=tuple(bodies),
    )  # fmt: skip


def _parameter(given: Mapping[str, Any]) -> Parameter:
    schema = given.get("schema")
    if isinstance(schema, Mapping):
        about = dict(schema)
    else:
        # Swagger 2 has the type beside the name.
        about = {k: v for k, v in given.items() if k not in ("name", "in", "required", "style")}
    about["description"] = plain_words(given.get("description") or about.get("description"))
    place = str(given.get("in") or "query")
    return Parameter(str(given["name"]), place, about, given.get("required") is True)


def _body(media_type: str, schema: object) -> list[Body]:
    return [Body(media_type, schema)] if isinstance(schema, Mapping) else []


def _filled(url: str, variables: object) -> str:
    """A server's URL with the defaults of its variables."""
    for name, about in variables.items() if isinstance(variables, Mapping) else ():
        value = about.get("default") if isinstance(about, Mapping) else None
        url = url.replace(f"{{{name}}}", str(value or ""))
    return url


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
