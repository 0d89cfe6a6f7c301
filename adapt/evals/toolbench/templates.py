"""Replies made from the shape of an API's replies: the last resort where nothing else answers.

Query files describe replies as `{"name": "str", "_list_length": 10}`. The values follow from the
API and its arguments, so that the same call gets the same reply in every run; they mean nothing.
Called by adapt.evals.toolbench.server.
"""

import hashlib
import json
import re
from itertools import islice
from typing import Any

LIST_ITEMS = 3
"""Most items of a made list: an observation is cut at 1,024 characters anyway."""
MOST_VALUES = 400
MOST_LEVELS = 20
_LISTED = re.compile(r"list of (\w+) with length (\d{1,6})")


def made_reply(template: Any, key: str) -> Any:
    """A value of the template's shape. `key` names the call; None gives one line of words."""
    if isinstance(template, str):
        template = _parsed(template)
    if template is None:
        return {"result": _leaf("str", "result", key)}
    return _Maker(key).value(template, "result", 0)


class _Maker:
    """Makes one reply; counts what it made, since a template may be large."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._made = 0

    def value(self, shape: Any, name: str, level: int) -> Any:
        # Containers count as well: nested lists would multiply without a single leaf.
        self._made += 1
        if self._made > MOST_VALUES or level >= MOST_LEVELS:
            return None
        if isinstance(shape, dict):
            return {
                key: self.value(own, f"{name}.{key}", level + 1)
                for key, own in islice(shape.items(), MOST_VALUES)
                if key != "_list_length"
            }
        if isinstance(shape, list):
            return self._list(shape, name, level)
        return _leaf(shape, name, self._key)

    def _list(self, shapes: list[Any], name: str, level: int) -> list[Any]:
        made: list[Any] = []
        for shape in shapes[:LIST_ITEMS]:
            listed = _LISTED.fullmatch(shape) if isinstance(shape, str) else None
            if shape == "empty list":
                continue
            count = 1
            if listed:
                shape, count = listed[1], int(listed[2])
            elif isinstance(shape, dict) and isinstance(shape.get("_list_length"), int):
                count = shape["_list_length"]
            made += [
                self.value(shape, f"{name}[{place}]", level + 1)
                for place in range(min(count, LIST_ITEMS))
            ]
        return made


def _leaf(shape: Any, name: str, key: str) -> Any:
    """One value of the type that `shape` names; a shape that is a value already stays."""
    number = int.from_bytes(hashlib.sha256(f"{key} {name}".encode()).digest()[:4])
    last = re.split(r"[.\[]", name)[-1] if not name.endswith("]") else name.split(".")[-1]
    made = {
        "str": f"{re.sub(r'[^A-Za-z0-9]+', ' ', last).strip() or 'value'} {number % 10_000}",
        "int": number % 1_000,
        "float": number % 10_000 / 100,
        "bool": number % 2 == 0,
        "NoneType": None,
        "list": [],
        "dict": {},
    }
    return made.get(shape, shape) if isinstance(shape, str) else shape


def _parsed(template: str) -> Any:
    """Large templates are published as text that may be cut short: then it is no shape."""
    try:
        return json.loads(template)
    except (ValueError, RecursionError):
        return None
