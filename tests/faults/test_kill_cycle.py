"""SIGKILL of the process that runs a cycle, at every point: another one finishes what it left."""

from pathlib import Path

import pytest
from faults.chain import Chain, Together, Waiting, said
from faults.invariants import TALLY, check_ended, check_home
from faults.points import STEPS

from store.records import CycleStage, CycleState

QUICK = STEPS[STEPS.index("gate:started") :]
"""From here on a cycle is finished in a second: each of these is finished by itself as well."""


@pytest.mark.parametrize("step", STEPS)
def test_all_that_must_hold_holds_after_a_kill(chain: Chain, step: str) -> None:
    """Chain.dead kills there, and checks the home before another process goes on with it."""
    assert chain.dead(step).is_dir()


def test_the_cycle_that_was_killed_everywhere_ends_well(chain: Chain) -> None:
    """It is still the first one, and the next finds nothing new."""
    home = chain.finished()
    live = check_home(home)
    cycle = check_ended(home, 1, CycleState.PROMOTED)
    outputs = {stage.stage: stage.outputs or {} for stage in cycle.stages}
    TALLY.check(outputs[CycleStage.COMPOSE]["version"] == live, "what was learned is live")
    check_ended(home, 2, CycleState.SKIPPED)


@pytest.fixture(scope="module")
def left(chain: Chain, together: Together) -> Waiting:
    """Homes that died late, each gone on with by another process."""
    assert chain.finished()

    def go_on(home: Path, step: str) -> None:
        chain.at(step, home)
        assert chain.learned.run(home) == 0, said(home)
        live = check_home(home)
        check_ended(home, 1, CycleState.PROMOTED)
        TALLY.check(live == check_home(chain.finished()), "the same version is live")

    return together(go_on, QUICK)


@pytest.mark.parametrize("step", QUICK)
def test_the_next_process_finishes_what_a_kill_left(chain: Chain, left: Waiting, step: str) -> None:
    left[step].result()
