"""DFSDT: the order in which steps are tried, how far it goes back, what a sibling is told."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

from toolbench_cases import (
    ALERTS_NAME,
    DONE,
    FORECAST_NAME,
    GIVE_UP,
    KYOTO,
    MENU_NAME,
    Speaker,
    explorer,
    said,
)

from adapt.evals.toolbench.protocol import Limits
from adapt.evals.toolbench.steps import Said, Trace
from adapt.evals.toolbench.tree import run_tree

FORECAST, ALERTS, MENU = (FORECAST_NAME, KYOTO), (ALERTS_NAME, KYOTO), (MENU_NAME, {"is_id": "1"})


def search(replies: Sequence[Said], limits: Limits | None = None) -> tuple[Trace, Speaker]:
    """A search over those replies."""
    speaker = Speaker(replies)
    walker, start = explorer(speaker, limits=limits)
    return asyncio.run(run_tree(walker, start)), speaker


def names(trace: Trace) -> list[str]:
    """What the path of a trace called."""
    return [step.function for step in trace.path.steps]


def test_the_first_answer_ends_the_search() -> None:
    trace, speaker = search([said(FORECAST), said(DONE)])
    assert trace.path.ending == "answer" and len(speaker.shown) == 2
    assert names(trace) == [FORECAST_NAME, "Finish"]


def test_giving_up_goes_back_two_steps() -> None:
    trace, speaker = search(
        [said(FORECAST), said(ALERTS), said(GIVE_UP), said(MENU), said(DONE)],
    )
    assert names(trace) == [FORECAST_NAME, MENU_NAME, "Finish"]
    assert len(speaker.shown) == 5


def test_a_limit_goes_back_one_step() -> None:
    trace, _ = search(
        [said(FORECAST), said(ALERTS), said(MENU), said(MENU), said(DONE)], Limits(4, 200)
    )
    assert names(trace) == [MENU_NAME, "Finish"]


def test_every_step_has_at_most_two_continuations() -> None:
    trace, speaker = search([said(FORECAST)] * 99, Limits(6, 200))
    assert len(speaker.shown) == 2 + 4 + 8
    assert trace.path.ending == "depth"


def test_the_replies_are_limited_over_the_whole_search() -> None:
    trace, speaker = search([said(FORECAST)] * 99, Limits(50, 30))
    assert len(speaker.shown) == 30 and trace.path.ending == "queries"


def test_a_sibling_is_told_of_the_earlier_call_and_later_steps_are_not() -> None:
    _, speaker = search(
        [said(FORECAST), said(ALERTS), said(GIVE_UP), said(MENU), said(DONE)],
    )
    aside = speaker.shown[3][-1]
    assert aside["role"] == "user"
    assert ALERTS_NAME in aside["content"] and "Kyoto" in aside["content"]
    forecast_reply = speaker.shown[1][-1]["content"]
    assert f"last observation was: {forecast_reply}" in aside["content"]
    assert all("different from all" not in str(message) for message in speaker.shown[4])


def test_a_sibling_of_a_thought_is_told_of_the_call_behind_it() -> None:
    _, speaker = search(
        [said(thought="hm"), said(FORECAST), said(thought="no"), said(ALERTS), said(DONE)],
        Limits(3, 200),
    )
    assert FORECAST_NAME in str(speaker.shown[2][-1])
    roles = [[message["role"] for message in shown] for shown in speaker.shown]
    doubled = [r for r in roles if ("user", "user") in pairwise(r)]
    assert doubled == []


def test_paths_share_what_is_before_them_and_nothing_else() -> None:
    trace, _ = search([said(FORECAST), said(ALERTS), said(GIVE_UP), said(MENU), said(DONE)])
    text = str(trace.path.messages)
    assert MENU_NAME in text and ALERTS_NAME not in text
    assert trace.explorer.calls == 5


def test_when_all_is_tried_the_last_path_is_kept() -> None:
    trace, _ = search([said(GIVE_UP), said(GIVE_UP)])
    assert (trace.path.ending, trace.path.answer) == ("give_up", "")
