"""Rule `one_to_one`: each wanted call is made once, in any order, and nothing else is called.

Reads no replies and no files: gold and options are in the item's check. Called by
adapt.evals.scoring.calls. Values are the same by adapt.evals.scoring.call_values.

The check's `calls` are `{"name", "arguments"}` and may say more of single calls:

open: parameters that must have a value, whichever.
unjudged: parameters that may be left out or have any value.
may_lack: whether the call may be left out.

The check's `further` says which parameters a call may have besides: `none` (usual), `offered`
(those in the function's schema) or `any`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapt.evals.items import Item
from adapt.evals.scoring.call_values import normal_form
from adapt.evals.scoring.calls import Called, brief, f1_of, match_one_to_one
from adapt.evals.scoring.marks import Mark, wrong

Pair = tuple[str, Mapping[str, str]]


@dataclass(frozen=True)
class Wanted:
    """One gold call, ready to be compared."""

    name: str
    values: Mapping[str, str]
    """Normal forms of the values that count."""
    open: frozenset[str]
    unjudged: frozenset[str]
    may_lack: bool


@dataclass(frozen=True)
class Made:
    """One call that a model made, ready to be compared."""

    name: str
    values: Mapping[str, str]


def compare(item: Item, called: Sequence[Called]) -> Mark:
    """Right when every call is wanted and every wanted one is made.

    Measures: precision, recall and F1 of functions, and of parameters with their values
    (`parameter_...`), each matched one to one.
    """
    wanted = [_wanted(call) for call in item.check["calls"]]
    made = [Made(c.name, {k: normal_form(v) for k, v in c.arguments.items()}) for c in called]
    measures = figures(((w.name, w.values) for w in wanted), ((m.name, m.values) for m in made))
    if not called:
        return wrong("called nothing", **measures)
    further = item.check.get("further", "none")
    if fault := unoffered(item, [(m.name, m.values) for m in made], any_parameter=further == "any"):
        return wrong(fault, **measures)
    pairs = match_one_to_one(wanted, made, lambda want, call: _same(want, call, further))
    matched, found = {place for place, _ in pairs}, {place for _, place in pairs}
    for place, call in enumerate(made):
        if place not in found:
            return wrong(f"{brief(call.name)} is not called so", **measures)
    for place, want in enumerate(wanted):
        if place not in matched and not want.may_lack:
            return wrong(f"{want.name} is not called", **measures)
    return Mark(1.0, "right", measures=measures)


def _wanted(call: Mapping[str, Any]) -> Wanted:
    loose = frozenset(call.get("open", ())), frozenset(call.get("unjudged", ()))
    arguments: Mapping[str, Any] = call["arguments"]
    values = {
        key: normal_form(value)
        for key, value in arguments.items()
        if not any(key in kind for kind in loose)
    }
    return Wanted(call["name"], values, *loose, bool(call.get("may_lack")))


def _same(wanted: Wanted, made: Made, further: str) -> bool:
    if made.name != wanted.name:
        return False
    if any(made.values.get(key) != value for key, value in wanted.values.items()):
        return False
    if not all(made.values.get(key) for key in wanted.open):
        return False
    known = wanted.values.keys() | wanted.open | wanted.unjudged
    return further != "none" or made.values.keys() <= known


def unoffered(item: Item, made: Iterable[Pair], any_parameter: bool = False) -> str:
    """What is called that the item does not offer, a function or a parameter; empty where none."""
    offered = {
        tool["function"]["name"]: tool["function"]["parameters"]["properties"].keys()
        for tool in item.tools
    }
    for name, values in made:
        if name not in offered:
            return f"called {brief(name)}, which is not offered"
        strange = values.keys() - offered[name]
        if strange and not any_parameter:
            return f"{name} has no parameter {brief(min(strange))}"
    return ""


def figures(wanted: Iterable[Pair], made: Iterable[Pair]) -> dict[str, float]:
    """Precision, recall and F1 of functions, and of parameters with values (`parameter_...`).

    Of (name, normal forms by parameter), each matched one to one.
    """
    wanted, made = list(wanted), list(made)
    functions = _f1(Counter(name for name, _ in wanted), Counter(name for name, _ in made))
    parameters = _f1(_parameters(wanted), _parameters(made))
    return functions | {f"parameter_{name}": figure for name, figure in parameters.items()}


def _parameters(calls: Iterable[Pair]) -> Counter[tuple[str, str, str]]:
    return Counter((name, *pair) for name, values in calls for pair in values.items())


def _f1(wanted: Counter[Any], made: Counter[Any]) -> dict[str, float]:
    return f1_of((wanted & made).total(), wanted.total(), made.total())
