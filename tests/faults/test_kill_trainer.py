"""SIGKILL of the child process of each heavy stage, while it works."""

import pytest
from faults.chain import Waiting
from faults.trainers import STAGES

from store.records import CycleStage


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_trainer_fails_its_cycle_and_no_other(
    trainers: Waiting, stage: CycleStage
) -> None:
    """The cycle says what was killed, the live version stays, and nothing of it is left."""
    trainers[stage].result()
