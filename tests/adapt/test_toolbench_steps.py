"""Steps, and the chain of them: what a reply of any kind adds, and where a run stops."""

import asyncio
import json
import time
from typing import Any

import pytest
from toolbench_cases import (
    ALERTS_NAME,
    DONE,
    FORECAST_NAME,
    GIVE_UP,
    KYOTO,
    MENU_NAME,
    Speaker,
    case,
    explorer,
    said,
)

from adapt.evals.toolbench.chain import run_chain
from adapt.evals.toolbench.protocol import Limits, Status
from adapt.evals.toolbench.server import ToolServer
from adapt.evals.toolbench.steps import Said, Trace
from agent.engine import ToolCall
from store.errors import EngineRefused

FORECAST_CALL = (FORECAST_NAME, KYOTO)


def chain(*replies: Said, limits: Limits | None = None, server: ToolServer | None = None) -> Trace:
    """One chain over those replies."""
    walker, start = explorer(Speaker(replies), server=server, limits=limits)
    return asyncio.run(run_chain(walker, start))


def test_a_chain_ends_with_the_answer() -> None:
    trace = chain(said(FORECAST_CALL), said(DONE))
    assert trace.path.ending == "answer"
    assert trace.path.answer == "No rain, no warning."
    assert [step.status for step in trace.path.steps] == [Status.OK, Status.FINAL_ANSWER]


def test_giving_up_ends_a_chain() -> None:
    trace = chain(said(GIVE_UP))
    assert (trace.path.ending, trace.path.answer) == ("give_up", "")


def test_a_finish_that_cannot_be_read_goes_on() -> None:
    trace = chain(said(("Finish", "{}")), said(DONE))
    assert [step.status for step in trace.path.steps] == [Status.BAD_INPUT, Status.FINAL_ANSWER]


def test_thought_action_and_input_are_a_level_each() -> None:
    silent = [said(FORECAST_CALL)] * 9
    thinking = [said(FORECAST_CALL, thought="hm")] * 9
    assert len(chain(*silent, limits=Limits(12, 200)).path.steps) == 6
    trace = chain(*thinking, limits=Limits(12, 200))
    assert (len(trace.path.steps), trace.path.ending) == (4, "depth")


def test_prose_alone_is_told_to_go_on_and_reaches_the_limit() -> None:
    trace = chain(*[said(thought="I think it rains.")] * 9, limits=Limits(5, 200))
    assert (trace.explorer.queries, trace.path.ending, trace.path.steps) == (5, "depth", ())
    roles = [message["role"] for message in trace.path.messages]
    assert roles == ["system", "user"] + ["assistant", "user"] * 5


def test_saying_nothing_reaches_the_limit() -> None:
    assert chain(*[said()] * 9, limits=Limits(5, 200)).explorer.queries == 5


def test_the_limit_of_replies_ends_a_chain() -> None:
    trace = chain(*[said(FORECAST_CALL)] * 9, limits=Limits(50, 3))
    assert (trace.explorer.queries, trace.path.ending) == (3, "queries")


def test_an_unknown_function_is_renamed_in_the_conversation() -> None:
    trace = chain(said(("login", {})), said(DONE))
    step = trace.path.steps[0]
    assert (step.status, step.valid, step.source) == (Status.NO_SUCH_FUNCTION, False, "protocol")
    called = trace.path.messages[2]["tool_calls"][0]["function"]
    assert called == {"name": "invalid_hallucination_function_name", "arguments": "{}"}


def test_a_name_must_be_whole() -> None:
    suffix = FORECAST_NAME.removeprefix("fore")
    assert chain(said((suffix, KYOTO)), said(DONE)).path.steps[0].status is Status.NO_SUCH_FUNCTION
    assert chain(said(("", KYOTO)), said(DONE)).path.steps[0].status is Status.NO_SUCH_FUNCTION


@pytest.mark.parametrize("broken", ["{", '["Kyoto"]', "null", "[" * 100_000, '"x"'])
def test_arguments_that_are_no_object_are_bad_input_and_not_shown_again(broken: str) -> None:
    trace = chain(said((FORECAST_NAME, broken)), said(DONE))
    assert trace.path.steps[0].status is Status.BAD_INPUT
    assert trace.path.messages[2]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_no_arguments_at_all_are_an_empty_object() -> None:
    step = chain(said((FORECAST_NAME, "")), said(DONE)).path.steps[0]
    assert step.status is not Status.BAD_INPUT and not step.valid


def test_arguments_that_do_not_fit_are_sent_and_not_valid() -> None:
    server = ToolServer(worlds=[lambda: {FORECAST_NAME: lambda given: "dry"}])
    step = chain(said((FORECAST_NAME, {"town": "K"})), said(DONE), server=server).path.steps[0]
    assert (step.status, step.valid, step.source) == (Status.OK, False, "executor")


def test_several_calls_of_one_reply_are_made_in_order_and_none_behind_finish() -> None:
    trace = chain(said(FORECAST_CALL, (ALERTS_NAME, KYOTO), DONE, (MENU_NAME, {"is_id": "1"})))
    assert [step.function for step in trace.path.steps] == [FORECAST_NAME, ALERTS_NAME, "Finish"]
    roles = [message["role"] for message in trace.path.messages[2:]]
    assert roles == ["assistant", "tool", "tool", "tool"]
    ids = [message.get("tool_call_id") for message in trace.path.messages[3:]]
    assert ids == [call["id"] for call in trace.path.messages[2]["tool_calls"]]


def test_a_thousand_calls_at_once_stop_at_the_limit() -> None:
    began = time.monotonic()
    trace = chain(said(*[FORECAST_CALL] * 1000))
    assert (len(trace.path.steps), trace.path.ending) == (25, "depth")
    assert time.monotonic() - began < 2.0


def test_a_hundred_thousand_characters_are_taken_fast() -> None:
    huge = json.dumps({"city": "x" * 100_000})
    began = time.monotonic()
    trace = chain(said((FORECAST_NAME, huge), thought="t" * 100_000), said(("n" * 100_000, huge)),
                  said(DONE))  # fmt: skip
    assert time.monotonic() - began < 2.0
    assert trace.path.ending == "answer"
    assert all(len(step.observation) < 1100 for step in trace.path.steps)


def test_observations_are_cut() -> None:
    server = ToolServer(worlds=[lambda: {FORECAST_NAME: lambda given: "x" * 5000}])
    step = chain(said(FORECAST_CALL), said(DONE), server=server).path.steps[0]
    assert len(step.observation) == 1027 and step.observation.endswith("x...")


def test_a_conversation_that_outgrows_the_context_is_an_ending_but_the_first_request_is_not() -> (
    None
):
    refusal = EngineRefused("the maximum context length is 512", status=400)

    async def speak(messages: Any) -> Said:
        if len(messages) > allowed:
            raise refusal
        return said(FORECAST_CALL)

    walker, start = explorer(Speaker([]))
    walker.speak, allowed = speak, 4
    assert asyncio.run(run_chain(walker, start)).path.ending == "context"
    walker, start = explorer(Speaker([]))
    walker.speak, allowed = speak, 0
    with pytest.raises(EngineRefused):
        asyncio.run(run_chain(walker, start))


def test_who_answered_is_counted() -> None:
    trace = chain(said(FORECAST_CALL), said(("login", {})), said(DONE))
    assert trace.explorer.sources == {"template": 1, "protocol": 2}


def test_the_world_is_made_of_the_item_alone() -> None:
    item = case().item
    again = type(item).model_validate_json(item.model_dump_json())
    walker, start = explorer(Speaker([said(FORECAST_CALL), said(DONE)]), item=again)
    first = chain(said(FORECAST_CALL), said(DONE)).path.steps
    assert asyncio.run(run_chain(walker, start)).path.steps == first


def test_calls_keep_the_ids_that_the_engine_gave() -> None:
    call = ToolCall("chatcmpl-9", FORECAST_NAME, json.dumps(KYOTO))
    trace = chain(Said("", "", (call,)), said(DONE))
    assert trace.path.messages[3]["tool_call_id"] == "chatcmpl-9"
