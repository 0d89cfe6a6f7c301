"""Which questions a cycle asks of the live version and of the candidate."""

from adapt.base import PICO
from adapt.evals.items import Suite
from adapt.evals.suites import (
    general_suite,
    kept_base_suite,
    kept_suite,
    learned_suite,
    tools_suite,
)
from adapt.runtime import Runtime
from adapt.standing import Standing

LEARNED, KEPT, TOOLS, GENERAL = 200, 600, 600, 400
"""Most items per suite. As many as let the gate prove that an update of the usual quality, which
loses 0.02 of `kept` and of `tools`, loses less than its margin."""
PINNED = ("tools", "general")
"""Suites that are the same for every cycle, so that a candidate can be compared with the base."""
RELEARNED = "relearned"
"""What a line that is made anew must still know of all that it is made from."""
_SEED = 7
"""Pinned suites are the same for every cycle, so answers of the live version serve again."""


def cycle_suites(runtime: Runtime, number: int, *, rebuilds: bool = False) -> list[Suite]:
    """`learned`, `kept`, `tools` and `general` of one cycle; a suite without items is left out.

    Where a line is made anew, `learned` is `relearned`: the live version knows most of it. Too few
    of them prove nothing, and `kept` has most of them too.
    """
    examples, standing = runtime.store.examples, Standing.of(runtime.store)
    base = kept_base_suite(_SEED, KEPT).items if runtime.base.first.path == PICO else ()
    learned = learned_suite(standing.among(examples.of_cycle(number, "held_out")), LEARNED)
    if rebuilds:
        enough = len(learned.items) >= runtime.settings.gate.min_items
        learned = Suite(name=RELEARNED, items=learned.items if enough else ())
    suites = [
        learned,
        kept_suite(standing.among(examples.held_out_before(number)), base, KEPT),
        tools_suite(_SEED, TOOLS),
        general_suite(_SEED, GENERAL),
    ]
    return [s for s in suites if s.items]
