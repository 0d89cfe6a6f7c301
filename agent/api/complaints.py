"""What pydantic found wrong with a request, in words: the field, its value, and what may be there.

Called by agent.api.errors.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from agent.api.text import sayable

_PLACES = ("body", "query", "path", "header")
_ROLES = ("system", "developer", "user", "assistant", "tool")
_LONGEST = 60
"""Characters of a value that is repeated."""
_Error = Mapping[str, Any]


class Complaint(NamedTuple):
    """A message, and the field that it is about."""

    message: str
    param: str | None


def complaint_of(errors: Sequence[_Error], content_type: str | None) -> Complaint:
    """The first thing that is wrong, of what pydantic says of a request of this content type."""
    first = _meant(errors)
    path = ".".join(_named(first["loc"]))
    said = str(first["msg"]).removeprefix("Value error, ")
    kind = first["type"]
    if kind == "json_invalid":
        return Complaint(f"the body is not JSON: {first.get('ctx', {}).get('error', said)}", None)
    if kind == "not_supported":
        return Complaint(said, first["ctx"]["field"])
    if tuple(first["loc"]) == ("body",) and kind in ("model_attributes_type", "missing"):
        return Complaint(_no_object(kind, content_type), None)
    if kind.startswith("union_tag_"):
        # The complaint is about the field that tells the branches apart.
        path = ".".join(filter(None, (path, first["ctx"]["discriminator"].strip("'"))))
    if not path:
        return Complaint(said, None)
    return Complaint(f"{path}{_value(first)}: {_words(first, said)}", sayable(path))


def _meant(errors: Sequence[_Error]) -> _Error:
    """Of the branches of the first field, the one that was most likely meant: a list that is too
    long is no text that is missing."""
    field = tuple(_named(errors[0]["loc"]))
    if not field:
        return errors[0]
    of_it = [e for e in errors if tuple(_named(e["loc"]))[: len(field)] == field]
    return max(of_it, key=lambda e: (len(e["loc"]), not e["type"].endswith("_type")))


def _named(places: Sequence[str | int]) -> Iterator[str]:
    """Fields and indices alone: pydantic puts the branches of a union between them."""
    before: str | int = ""
    for place in places:
        branch = isinstance(before, int) and place in _ROLES
        if place not in _PLACES and not branch and "[" not in str(place):
            yield str(place)
        before = place


def _no_object(kind: str, content_type: str | None) -> str:
    """The whole body was taken for something else: mostly for want of a header."""
    if kind == "missing":
        return "there is no body: send a JSON object"
    if "json" in (content_type or ""):
        return "the body must be a JSON object"
    given = f"as {content_type}" if content_type else "without a content type"
    return f"the body came {given}: send it with the header Content-Type: application/json"


def _value(error: _Error) -> str:
    """What was given, where it is short enough to be repeated."""
    value = error["input"]
    if error["type"].startswith("union_tag_") and isinstance(value, Mapping):
        value = value.get(error["ctx"]["discriminator"].strip("'"))
    plain = value is None or isinstance(value, str | int | float)
    if error["type"] in ("missing", "extra_forbidden", "union_tag_not_found") or not plain:
        return ""
    shown = json.dumps(value)
    return f" = {shown}" if len(shown) <= _LONGEST else ""


def _words(error: _Error, said: str) -> str:
    """pydantic's words, shorter where they speak of its own matters."""
    if error["type"] == "extra_forbidden":
        return "there is no such field"
    if error["type"] in ("missing", "union_tag_not_found"):
        return "is missing"
    if error["type"] == "union_tag_invalid":
        return f"must be one of {error['ctx']['expected_tags'].replace(chr(39), '')}"
    return said.replace("Input should be", "must be", 1)
