"""SIGKILL of the child process of each heavy stage, while it works."""

from pathlib import Path

import pytest
from faults.chain import Chain, said
from faults.invariants import TALLY, check_ended, check_home

from store.records import CycleStage, CycleState


@pytest.mark.parametrize("stage", [CycleStage.ATTRIBUTE, CycleStage.IMPLANT, CycleStage.COMPOSE])
def test_a_killed_trainer_fails_its_cycle_and_no_other(
    chain: Chain, place: Path, stage: CycleStage
) -> None:
    """The cycle says what was killed, and the live version stays. The next one, which is tried
    after the last of the three, learns the same documents."""
    home = chain.at(f"{stage}:started", place)
    before = check_home(home)
    assert chain.learned.run(home, f"{stage}:progress", "kill child") == 0, said(home)
    TALLY.inject("SIGKILL of a trainer")
    TALLY.check(check_home(home) == before, "the live version stays")
    cycle = check_ended(home, 1, CycleState.FAILED)
    TALLY.check(f"{stage}_stage was killed by SIGKILL" in (cycle.error or ""), "it says what died")
    if stage is CycleStage.COMPOSE:
        assert chain.learned.run(home) == 0, said(home)
        TALLY.check(check_home(home) != before, "the next cycle learns what the failed one did not")
        check_ended(home, 2, CycleState.PROMOTED)
