"""Cycles: stages on record, and going on after a kill."""

import pytest

from store.cycles import Cycles
from store.database import Database
from store.errors import NotFoundError, StateError
from store.records import CycleStage, CycleState

GATHER, SYNTHESIZE = CycleStage.GATHER, CycleStage.SYNTHESIZE


@pytest.fixture
def cycles(database: Database) -> Cycles:
    return Cycles(database)


def test_a_cycle_is_recorded_from_start_to_finish(cycles: Cycles) -> None:
    number = cycles.start({"seed": 1}).number
    assert number == 1
    cycles.stage_started(number, SYNTHESIZE, {"corpus": "c"})
    cycles.stage_started(number, GATHER, {})
    cycles.stage_done(number, GATHER, {"documents": ["d"]}, 1.5)
    cycles.stage_done(number, SYNTHESIZE, {}, 2.0)
    cycles.finish(number, CycleState.PROMOTED)
    cycle = cycles.get(number)
    assert [s.stage for s in cycle.stages] == [GATHER, SYNTHESIZE]
    assert cycle.stages[0].outputs == {"documents": ["d"]} and cycle.stages[0].seconds == 1.5
    assert cycle.stages[1].outputs == {}
    assert cycle.state is CycleState.PROMOTED and cycle.ended_at and cycle.settings == {"seed": 1}
    assert cycles.unfinished() is None
    assert cycles.list() == [cycle]


def test_a_stage_started_again_replaces_its_unfinished_record(cycles: Cycles) -> None:
    number = cycles.start({}).number
    cycles.stage_started(number, GATHER, {"try": 1})
    cycles.stage_failed(number, GATHER, "killed")
    unfinished = cycles.unfinished()
    assert unfinished is not None and unfinished.stages[0].error == "killed"
    cycles.stage_started(number, GATHER, {"try": 2})
    (stage,) = cycles.get(number).stages
    assert stage.inputs == {"try": 2} and stage.error is None and stage.outputs is None


def test_a_finished_stage_is_never_overwritten(cycles: Cycles) -> None:
    number = cycles.start({}).number
    cycles.stage_started(number, GATHER, {})
    cycles.stage_done(number, GATHER, {"a": 1}, 0.1)
    for again in (
        lambda: cycles.stage_started(number, GATHER, {}),
        lambda: cycles.stage_done(number, GATHER, {"a": 2}, 0.1),
        lambda: cycles.stage_failed(number, GATHER, "late"),
    ):
        with pytest.raises(StateError, match="already done"):
            again()
    assert cycles.get(number).stages[0].outputs == {"a": 1}


def test_a_stage_that_was_not_started_cannot_end(cycles: Cycles) -> None:
    number = cycles.start({}).number
    with pytest.raises(StateError, match="never started"):
        cycles.stage_done(number, GATHER, {}, 0.0)


def test_one_cycle_runs_at_a_time_and_ends_once(cycles: Cycles) -> None:
    first = cycles.start({}).number
    with pytest.raises(StateError, match="still running"):
        cycles.start({})
    with pytest.raises(StateError, match="as running"):
        cycles.finish(first, CycleState.RUNNING)
    cycles.finish(first, CycleState.FAILED, error="no space")
    assert cycles.get(first).error == "no space"
    with pytest.raises(StateError, match="ended as failed"):
        cycles.finish(first, CycleState.PROMOTED)
    with pytest.raises(StateError, match="ended as failed"):
        cycles.stage_started(first, GATHER, {})
    assert cycles.start({}).number == 2


def test_an_unknown_cycle_says_which_exist(cycles: Cycles) -> None:
    with pytest.raises(NotFoundError, match="none yet"):
        cycles.get(4)
    cycles.start({})
    with pytest.raises(NotFoundError, match="from 1 to 1"):
        cycles.finish(4, CycleState.FAILED)
