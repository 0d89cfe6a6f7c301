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

LEARNED, KEPT, TOOLS, GENERAL = 200, 300, 600, 400
"""Most items per suite. As many as let the gate prove that an update of the usual quality loses
less than its margin: of `tools`, whose answers change most by chance, that takes the most."""
PINNED = ("tools", "general")
"""Suites that are the same for every cycle, so that a candidate can be compared with the base."""
_SEED = 7
"""Pinned suites are the same for every cycle, so answers of the live version serve again."""


def cycle_suites(runtime: Runtime, number: int) -> list[Suite]:
    """`learned`, `kept`, `tools` and `general` of one cycle; a suite without items is left out."""
    examples = runtime.store.examples
    base = kept_base_suite(_SEED, KEPT).items if runtime.base.first.path == PICO else ()
    suites = [
        learned_suite(examples.of_cycle(number, "held_out"), LEARNED),
        kept_suite(examples.held_out_before(number), base, KEPT),
        tools_suite(_SEED, TOOLS),
        general_suite(_SEED, GENERAL),
    ]
    return [s for s in suites if s.items]
