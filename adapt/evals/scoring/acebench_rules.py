"""Rule `acebench`: the calls of one of the answers, by ACEBench's lenient comparison of texts.

As published (arXiv 2501.12851, "normal" data): function and parameters are equal, and the wanted
text is in the given one, letter case, blanks and some marks aside. Stricter here in two points: a
wanted number must be equal (5 is in 15), and calls are matched one to one. Called by
adapt.evals.scoring.calls.

The check's `calls` are `{"name", "arguments"}`; `others` has further answers, each such a list.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from adapt.evals.items import Item
from adapt.evals.scoring.call_values import is_number, normal_form
from adapt.evals.scoring.calls import Called, brief, match_one_to_one
from adapt.evals.scoring.marks import RIGHT, Mark, wrong

_IGNORED = str.maketrans("", "", " ,./-_*^'\"")
"""Marks that the published comparison leaves out."""


def compare(item: Item, called: Sequence[Called]) -> Mark:
    """Right when the calls are those of the answer or of one of the others, in any order."""
    if not called:
        return wrong("called nothing")
    answers = [item.check["calls"], *item.check.get("others", [])]
    faults = [_fault(answer, called) for answer in answers]
    return wrong(faults[0]) if all(faults) else RIGHT


def _fault(answer: Sequence[Mapping[str, Any]], called: Sequence[Called]) -> str:
    """Why the calls are not those of an answer; empty when they are."""
    if len(called) != len(answer):
        return f"{len(called)} calls, not {len(answer)}"
    names = {call["name"] for call in answer}
    for call in called:
        if call.name not in names:
            return f"called {brief(call.name)}"
    pairs = match_one_to_one(answer, called, _same_call)
    return "" if len(pairs) == len(answer) else "other arguments"


def _same_call(wanted: Mapping[str, Any], made: Called) -> bool:
    return wanted["name"] == made.name and _same(wanted["arguments"], made.arguments)


def _same(wanted: Any, given: Any) -> bool:
    if isinstance(wanted, dict) and isinstance(given, dict):
        return wanted.keys() == given.keys() and all(_same(wanted[k], given[k]) for k in wanted)
    if isinstance(wanted, list) and isinstance(given, list):
        return len(wanted) == len(given) and all(map(_same, wanted, given))
    if isinstance(wanted, str) and isinstance(given, str) and not is_number(wanted):
        text, said = (one.casefold().translate(_IGNORED) for one in (wanted, given))
        # Nothing is in every text: what is wanted empty must be empty.
        return text == said or (text != "" and text in said)
    return normal_form(wanted) == normal_form(given)
