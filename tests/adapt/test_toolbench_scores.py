"""The score without a judge: only an answered run with exactly the relevant calls has 1."""

import asyncio
from typing import Any

import pytest
from toolbench_cases import (
    ALERTS_NAME,
    DONE,
    FORECAST_NAME,
    GIVE_UP,
    GOOD,
    KYOTO,
    MENU_NAME,
    Call,
    case,
    one_by_one,
    played,
)

from adapt.evals.scoring.marks import Mark
from adapt.evals.toolbench.server import ToolServer

FORECAST, ALERTS = GOOD[0], GOOD[1]
MENU = (MENU_NAME, {"is_id": "1"})
EMPTY = ("Finish", {"return_type": "give_answer", "final_answer": " "})


def mark(*calls: Call, server: ToolServer | None = None) -> Mark:
    """The mark of a run of those calls."""
    return asyncio.run(played(case().item, one_by_one(calls), server)).mark


def test_every_relevant_api_once_and_an_answer_is_right() -> None:
    good = mark(*GOOD)
    assert (good.score, good.valid, good.detail) == (1.0, True, "right")
    expected = {"finish": 1.0, "precision": 1.0, "recall": 1.0, "f1": 1.0, "valid_calls": 1.0}
    assert expected.items() <= dict(good.measures).items()
    assert (good.measures["steps"], good.measures["replies_template"]) == (3.0, 2.0)


def test_the_order_of_the_calls_does_not_matter() -> None:
    assert mark(ALERTS, FORECAST, DONE).score == 1.0


def test_another_call_of_a_relevant_api_with_other_arguments_is_no_fault() -> None:
    assert mark(FORECAST, (FORECAST_NAME, {"city": "Oslo"}), ALERTS, DONE).score == 1.0


@pytest.mark.parametrize(
    ("calls", "score"),
    [
        ([("login", {}), ALERTS, DONE], 0.5),
        ([(FORECAST_NAME + "_2", KYOTO), ALERTS, DONE], 0.5),
        ([FORECAST, DONE], 2 / 3),
        ([FORECAST, FORECAST, ALERTS, DONE], 0.8),
        ([FORECAST, (FORECAST_NAME, '{ "city": "Kyoto" }'), ALERTS, DONE], 0.8),
        ([FORECAST, ALERTS, MENU, DONE], 0.8),
        ([(FORECAST_NAME, {}), ALERTS, DONE], 0.5),
        ([(FORECAST_NAME, "{"), ALERTS, DONE], 0.5),
        ([MENU, DONE], 0.0),
        ([DONE], 0.0),
    ],
    ids=["hallucinated", "misnamed", "dropped", "repeated", "repeated in other words",
         "needless", "no arguments", "broken arguments", "only irrelevant", "answer at once"],
)  # fmt: skip
def test_faults_lower_the_score(calls: list[Any], score: float) -> None:
    assert mark(*calls).score == pytest.approx(score)


def test_calling_all_that_is_offered_is_not_right() -> None:
    everything = mark(FORECAST, ALERTS, MENU, DONE)
    assert everything.measures["recall"] == 1.0 and everything.score < 1.0


@pytest.mark.parametrize(
    ("end", "valid"), [([EMPTY], False), ([], True), ([GIVE_UP], True)], ids=["empty", "none", "up"]
)
def test_without_an_answer_the_score_is_zero(end: list[Any], valid: bool) -> None:
    none = mark(FORECAST, ALERTS, *end)
    assert (none.score, none.valid, none.measures["finish"]) == (0.0, valid, 0.0)
    assert none.measures["f1"] == 1.0


def test_a_run_without_a_readable_call_is_invalid() -> None:
    assert not mark().valid
    assert not mark(("login", {})).valid


def test_a_call_that_failed_may_be_made_again_until_it_succeeds() -> None:
    replies = iter([{"error": "Too many requests error...", "response": ""}, "dry", "dry"])
    server = ToolServer(worlds=[lambda: {FORECAST_NAME: lambda given: next(replies)}])
    assert mark(FORECAST, FORECAST, ALERTS, DONE, server=server).score == 1.0
    replies = iter([{"error": "Too many requests error...", "response": ""}, "dry", "dry"])
    thrice = mark(FORECAST, FORECAST, FORECAST, ALERTS, DONE, server=server)
    assert thrice.score == pytest.approx(2 * 0.75 / 1.75)


def test_the_score_does_not_depend_on_what_the_functions_reply() -> None:
    def broken(given: dict[str, Any]) -> Any:
        raise RuntimeError("down")

    server = ToolServer(worlds=[lambda: {ALERTS_NAME: broken, FORECAST_NAME: broken}])
    assert mark(*GOOD, server=server).score == 1.0
