"""Rule `nestful`: the calls of a sequence in its order, whatever their results are called.

A call's label names its result (`var1`, counted from 1, where it has none); later calls refer to it
as `$var1$` or `$var1.price$` (NESTFUL, arXiv 2409.03797). Two sequences are the same when names,
values and what is referred to are. `var_result`, NESTFUL's last call that only gathers results
under names of its writer's choice, is not judged. Called by adapt.evals.scoring.calls.

The check's `calls` are `{"name", "arguments"}` and may have a `label`.
"""

import re
from collections.abc import Sequence
from typing import Any

from adapt.evals.items import Item
from adapt.evals.scoring.call_rules import figures, unoffered
from adapt.evals.scoring.call_values import normal_form
from adapt.evals.scoring.calls import Called, brief
from adapt.evals.scoring.marks import Mark, wrong

GATHERING = "var_result"
"""The call that gathers results."""
_REFERENCE = re.compile(r"\$(\w{1,64})((?:\.[\w\[\]]{1,64}){0,8})\$")
_Values = dict[str, str]


def compare(item: Item, called: Sequence[Called]) -> Mark:
    """Right when the sequences are the same; a call of what is not offered never is.

    Measures: precision, recall and F1 of functions, and of parameters with their values
    (`parameter_...`), whatever the order.
    """
    gold = [Called(c["name"], c["arguments"], c.get("label", "")) for c in item.check["calls"]]
    wanted, made = _resolved(gold), _resolved(called)
    measures = figures(wanted, made)
    if not made:
        return wrong("called nothing", **measures)
    if fault := unoffered(item, made):
        return wrong(fault, **measures)
    for place, (want, call) in enumerate(zip(wanted, made, strict=False), 1):
        if want != call:
            what = "other arguments" if want[0] == call[0] else f"{brief(call[0])}, not {want[0]}"
            return wrong(f"call {place}: {what}", **measures)
    if len(made) != len(wanted):
        return wrong(f"{len(made)} calls, not {len(wanted)}", **measures)
    return Mark(1.0, "right", measures=measures)


def _resolved(calls: Sequence[Called]) -> list[tuple[str, _Values]]:
    """Names and normal values of calls, with places instead of labels in what they refer to."""
    places: dict[str, int] = {}
    resolved: list[tuple[str, _Values]] = []
    for place, call in enumerate((c for c in calls if c.name != GATHERING), 1):
        values = {k: normal_form(_placed(v, places)) for k, v in call.arguments.items()}
        resolved.append((call.name, values))
        places[call.label or f"var{place}"] = place
    return resolved


def _placed(value: Any, places: dict[str, int]) -> Any:
    if isinstance(value, dict):
        return {key: _placed(inner, places) for key, inner in value.items()}
    if isinstance(value, list):
        return [_placed(inner, places) for inner in value]
    if not isinstance(value, str):
        return value
    # The mark is none that a model would write: a place written as such must not pass for one.
    return _REFERENCE.sub(
        lambda found: f"\0{places[found[1]]}{found[2]}" if found[1] in places else found[0], value
    )
