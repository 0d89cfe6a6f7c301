"""BFCL's AST rule: whether calls are those that an item lists, each argument with listed values.

The rule is the one of the leaderboard's own checker, its odd corners included, so that scores can
be set beside published ones; adapt.evals.bfcl.parity compares the two. A check holds
`calls: [{"name", "required": [...], "arguments": {name: {"type", "items", "values": [...]}}}]`;
"" among the values means that the argument may be left out. Called by adapt.evals.scoring.calls.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from adapt.evals.items import Item
from adapt.evals.scoring.call_text import Called
from adapt.evals.scoring.calls import brief
from adapt.evals.scoring.marks import RIGHT, Mark, wrong

TYPES: dict[str, type] = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "any": str,
}
"""Types of BFCL's function documents, and what a value of each is."""
_IGNORED = str.maketrans({**dict.fromkeys(" ,./-_*^"), "'": '"'})


def compare(item: Item, predicted: Sequence[Called]) -> Mark:
    """Right when there are as many calls as listed and each listed one takes a call of its own.

    Listed calls choose in their order, each the first call left that fits, as the published rule
    does: not a maximum matching, which would pass a few more.
    """
    wanted: list[Mapping[str, Any]] = item.check["calls"]
    if not predicted:
        return wrong("called nothing")
    if len(predicted) != len(wanted):
        return wrong(f"{len(predicted)} calls, not {len(wanted)}")
    left = list(predicted)
    for call in wanted:
        faults = [_fault(made, call) for made in left]
        if None not in faults:
            return wrong(str(faults[0]))
        left.pop(faults.index(None))
    return RIGHT


def _fault(made: Called, call: Mapping[str, Any]) -> str | None:
    """What keeps `made` from being the listed `call`; None when it is."""
    if made.name != call["name"]:
        return f"called {brief(made.name)}, not {call['name']}"
    listed = call["arguments"]
    for name in call["required"]:
        if name not in made.arguments:
            return f"lacks {name}, which is required"
    for name, value in made.arguments.items():
        if name not in listed or listed[name]["type"] is None:
            return f"has {brief(name)}, which is not wanted"
        if not _allowed(value, listed[name]):
            return f"{name} has another value or type"
    for name, argument in listed.items():
        if name not in made.arguments and "" not in argument["values"]:
            return f"lacks {name}"
    return None


def _allowed(value: Any, argument: Mapping[str, Any]) -> bool:
    """Whether a value is of the documented type, or of the listed values' own, and listed."""
    kind, values = TYPES[argument["type"]], argument["values"]
    items = TYPES[argument["items"]] if argument["items"] else None
    if argument["type"] == "float" and type(value) is int:
        try:
            value = float(value)
        except OverflowError:
            return False
    own = _own_type(values)
    if type(value) is kind:
        if items and not _elements_fit(value, items, values):
            return False
    elif type(value) is not own:
        return False
    if own is not None and own is not kind:
        # Values of another type than documented stand for a variable: no form is forgiven.
        return value in values
    if kind is dict:
        return any(_is_dict(value, other) for other in values)
    if items is dict:
        return any(_are_dicts(value, other) for other in values)
    if kind is str:
        return _plain(value) in [_plain(other) for other in values if isinstance(other, str)]
    if kind is list:
        return _plain_all(value) in [_plain_all(o) for o in values if isinstance(o, list | str)]
    return value in values


def _own_type(values: Sequence[Any]) -> type | None:
    """The type of the first listed value; None where none but "" is listed."""
    return next((type(value) for value in values if value != ""), None)


def _elements_fit(value: list[Any], items: type, values: Sequence[Any]) -> bool:
    """Whether all elements have the documented type, or that of the elements of one listed value.

    A listed value that is no list asks for nothing.
    """
    for other in values:
        if not isinstance(other, list):
            return True
        types = (items, _own_type(other))
        if all(type(element) in types for element in value):
            return True
    return False


def _are_dicts(value: list[Any], other: Any) -> bool:
    """Whether a list of dicts is the listed one, in its order."""
    if not isinstance(other, list | str) or len(value) != len(other):
        return False
    return all(_is_dict(one, wanted) for one, wanted in zip(value, other, strict=True))


def _is_dict(value: Any, other: Any) -> bool:
    """Whether a dict has only listed keys, each with a listed value, and lacks none it must have.

    `other` lists values by key. Dicts inside are compared as they stand.
    """
    if not isinstance(value, dict) or not isinstance(other, dict):
        return False
    for key, one in value.items():
        if not isinstance(other.get(key), list):
            return False
        if _plain(one) not in [_plain(wanted) for wanted in other[key]]:
            return False
    return all(key in value or "" in wanted for key, wanted in other.items())


def _plain(value: Any) -> Any:
    """Text without case, blanks and the marks that BFCL passes over; anything else as it is."""
    return value.translate(_IGNORED).lower() if isinstance(value, str) else value


def _plain_all(values: Sequence[Any]) -> list[Any]:
    return [_plain(value) for value in values]
