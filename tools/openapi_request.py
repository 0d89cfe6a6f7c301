"""What is sent for a call of an OpenAPI operation, and the schema of what it takes.

Arguments fill the operation's path, query, headers and body, and nothing else: they lead to no
other path and no other host. Sends nothing. Called by tools.openapi.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from store.errors import ToolRetry
from tools.fetch_answer import Asked
from tools.openapi_document import Body, Operation

MARK = "Perennial-Tool"
"""A header of every request. Perennial's own server refuses what has it: no tool administers it."""
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_BODY = "body"
"""The argument that is the whole body, where that is no object with properties."""
_OURS = {
    "host", "content-length", "content-type", "accept", "authorization", "cookie", "connection",
    "transfer-encoding", "user-agent", "accept-encoding", MARK.lower(),
}  # fmt: skip
"""Headers that no argument sets."""
_HOLE = re.compile(r"\{([^{}]*)\}")


def body_of(operation: Operation) -> Body | None:
    """The form of body that is sent. ValueError where there are forms and none can be."""
    for body in operation.bodies:
        kind = body.media_type.partition(";")[0].strip().lower()
        if kind in (_JSON, _FORM) or kind.endswith("+json"):
            return Body(kind, body.schema)
    if any(body.media_type == "*/*" for body in operation.bodies):
        return Body(_JSON, operation.bodies[0].schema)
    if operation.bodies:
        kinds = ", ".join(body.media_type for body in operation.bodies)
        raise ValueError(f"its body is sent as {kinds[:100]}, which is not done here")
    return None


def schema_of(operation: Operation, body: Body | None) -> dict[str, Any]:
    """One object of all that an operation takes. Of two of one name the parameter counts.
    ValueError for an operation whose path leads nowhere."""
    named = {one.name for one in operation.parameters if one.place == "path"}
    # Without the slash the path would be the end of the host's name.
    if not operation.path.startswith("/") or set(_HOLE.findall(operation.path)) != named:
        raise ValueError(f"its path {operation.path[:100]!r} does not fit its parameters")
    properties: dict[str, Any] = {}
    required: list[str] = []
    for one in operation.parameters:
        if one.place == "cookie" or (one.place == "header" and one.name.lower() in _OURS):
            continue
        properties.setdefault(one.name, one.schema)
        if one.required or one.place == "path":
            required.append(one.name)
    inner = body.schema.get("properties") if body else None
    if isinstance(inner, Mapping) and body:
        for name, about in inner.items():
            properties.setdefault(str(name), about)
        needed = body.schema.get("required")
        required += [str(name) for name in needed] if isinstance(needed, list) else []
    elif body:
        properties.setdefault(_BODY, dict(body.schema))
    return {
        "type": "object", "properties": properties, "required": list(dict.fromkeys(required)),
        # What the document does not name is not sent: a server may do more than it says.
        "additionalProperties": False,
    }  # fmt: skip


def request_of(
    operation: Operation, body: Body | None, arguments: Mapping[str, Any]
) -> tuple[str, Asked]:
    """Path with query, and what is sent. ToolRetry for a value that cannot be sent."""
    path, query, form = operation.path, list[tuple[str, str]](), list[tuple[str, str]]()
    headers = {"Accept": f"{_JSON}, text/plain;q=0.8, */*;q=0.5", MARK: "1"}
    for one in operation.parameters:
        value = arguments.get(one.name)
        if value is None:
            continue
        if one.place == "path":
            path = path.replace(f"{{{one.name}}}", _segment(one.name, value))
        elif one.place == "header" and one.name.lower() not in _OURS:
            headers[one.name] = _header(one.name, value)
        elif one.place in ("query", "formData"):
            (query if one.place == "query" else form).extend(_pairs(one.name, value))
    content, kind = _content(operation, body, arguments, form)
    if kind:
        headers["Content-Type"] = kind
    asked = Asked(operation.method.upper(), headers, content, whole=True)
    return path + (f"?{urlencode(query)}" if query else ""), asked


def _content(
    operation: Operation,
    body: Body | None,
    arguments: Mapping[str, Any],
    form: list[tuple[str, str]],
) -> tuple[bytes, str]:
    """The body and its kind, of what the parameters have not taken."""
    taken = {one.name for one in operation.parameters}
    if body is None:
        return (urlencode(form).encode(), _FORM) if form else (b"", "")
    inner = body.schema.get("properties")
    if isinstance(inner, Mapping):
        rest: Any = {name: value for name, value in arguments.items() if name not in taken}
    elif _BODY in arguments:
        rest = arguments[_BODY]
    else:
        return b"", ""
    if body.media_type == _FORM and isinstance(rest, dict):
        pairs = [pair for name, value in rest.items() for pair in _pairs(name, value)]
        return urlencode(pairs).encode(), _FORM
    return json.dumps(rest, ensure_ascii=False).encode(errors="replace"), body.media_type


def _segment(name: str, value: Any) -> str:
    text = _plain(value)
    # `..` would lead to another path, and no quoting says otherwise.
    if text in ("", ".", ".."):
        raise ToolRetry(f"parameter {name} cannot be {text!r}")
    return quote(text, safe="", errors="replace")


def _header(name: str, value: Any) -> str:
    text = _plain(value)
    if not (text.isascii() and text.isprintable()):
        raise ToolRetry(f"parameter {name} is sent as a header, on one line and in ASCII")
    return text


def _pairs(name: str, value: Any) -> list[tuple[str, str]]:
    values = value if isinstance(value, list) else [value]
    return [(name, _plain(one).encode(errors="replace").decode()) for one in values]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
