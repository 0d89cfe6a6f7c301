"""A query played for real: settings, formats, what is kept, what is a fault and what is a mark."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from toolbench_cases import (
    DONE,
    FORECAST_NAME,
    GIVE_UP,
    GOOD,
    KYOTO,
    MENU_NAME,
    case,
    one_by_one,
    played,
    scripted,
)

from adapt.evals.asking import Asker, Decoding
from adapt.evals.toolbench.play import SERVER
from adapt.evals.toolbench.server import ToolServer
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from store.errors import ConfigError, EngineUnavailable


@dataclass
class TextModel(httpx.AsyncBaseTransport):
    """A server of raw completions that says `texts` in turn, in vLLM's shape."""

    texts: list[str]
    prompts: list[dict[str, Any]] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The next text."""
        body = json.loads(await request.aread())
        text = self.texts[len(self.prompts)]
        self.prompts.append(body)
        logprobs = {"tokens": ["token_id:1"] * 3, "token_logprobs": [-0.1] * 3}
        choice = {"text": text, "logprobs": logprobs, "finish_reason": "stop"}
        usage = {"prompt_tokens": 5}
        return httpx.Response(200, json={"model": "base", "choices": [choice], "usage": usage})


def ask(
    vllm: httpx.AsyncBaseTransport, extras: dict[str, Any] | None = None, **setting: Any
) -> Any:
    """The outcome and the played item as adapt.evals.asking gives them."""

    async def run() -> Any:
        async with Engine(Path("-"), transport=vllm) as engine:
            asker = Asker(engine, "base", Decoding(), extras=extras or {})
            return await asker.ask(case(**setting).item)

    return asyncio.run(run())


def test_the_asker_plays_items_of_this_kind() -> None:
    outcome, seen = ask(FakeVllm(scripted(one_by_one(GOOD))))
    assert (outcome.score, outcome.name, outcome.slice) == (1.0, "7", "G1_instruction")
    assert outcome.measures["steps"] == 3.0
    assert seen.answer == "No rain, no warning."
    assert seen.prompt_tokens > 0


def test_kept_observations_tell_their_status_and_who_gave_them() -> None:
    _, seen = ask(FakeVllm(scripted(one_by_one(GOOD))))
    kept = [(m["status"], m["source"]) for m in seen.messages if m["role"] == "tool"]
    assert kept == [(0, "template"), (0, "template"), (3, "protocol")]


def test_the_engine_is_sent_nothing_but_chat_messages() -> None:
    vllm = FakeVllm(scripted(one_by_one(GOOD)))
    ask(vllm)
    keys = {key for _, body in vllm.requests for m in body["messages"] for key in m}
    assert keys <= {"role", "content", "tool_calls", "tool_call_id"}
    assert [t["function"]["name"] for t in vllm.requests[0][1]["tools"]][-1] == "Finish"


def test_the_servers_replies_reach_the_model() -> None:
    vllm = FakeVllm(scripted(one_by_one(GOOD)))
    server = ToolServer(worlds=[lambda: {FORECAST_NAME: lambda given: "dry as dust"}])
    outcome, _ = ask(vllm, {SERVER: server})
    assert "dry as dust" in vllm.requests[1][1]["messages"][-1]["content"]
    assert outcome.measures["replies_executor"] == 1.0


def test_what_is_no_server_is_refused() -> None:
    with pytest.raises(ConfigError, match="tool_server"):
        ask(FakeVllm(scripted([])), {SERVER: "http://server"})


def test_dfsdt_tries_again_where_react_ends() -> None:
    script = scripted([[(MENU_NAME, {"is_id": "1"})], [GIVE_UP]])

    def answer(model: str, messages: list[Any], tools: list[Any]) -> Any:
        if "different from all" in str(messages[-1]["content"]):
            return [{"name": name, "arguments": given} for name, given in GOOD]
        return script(model, messages, tools)

    react, _ = ask(FakeVllm(answer), method="react")
    dfsdt, seen = ask(FakeVllm(answer), method="dfsdt")
    assert (react.score, react.detail, react.measures["queries"]) == (0.0, "gave up", 2.0)
    assert (dfsdt.score, dfsdt.measures["queries"]) == (1.0, 3.0)
    assert seen.answer == "No rain, no warning."


def test_the_limits_are_those_of_the_setting() -> None:
    script = one_by_one([(FORECAST_NAME, KYOTO)] * 60)
    short, _ = ask(FakeVllm(scripted(script)), limits="toolbench")
    long, _ = ask(FakeVllm(scripted(script)), limits="stabletoolbench")
    assert (short.measures["queries"], long.measures["queries"]) == (6.0, 25.0)


def test_the_text_format_is_played_by_raw_completions() -> None:
    texts = [
        f"Thought: go\nAction: {name}\nAction Input: {json.dumps(given)}" for name, given in GOOD
    ]
    model = TextModel(texts)
    outcome, seen = ask(model, format="text")
    assert outcome.score == 1.0 and seen.completion_tokens == 9
    last = model.prompts[-1]
    assert last["prompt"].startswith("<s>System: ") and last["prompt"].endswith("Assistant:\n")
    assert last["prompt"].count("\nFunction: ") == 2
    assert "\nFunction:" in last["stop"]


def test_text_without_an_action_and_with_a_broken_one_are_marks() -> None:
    texts = ["It will rain.", "Action Input: {}", "Action: f\nAction Input: {"] * 40
    outcome, _ = ask(TextModel(texts), format="text")
    assert outcome.error is None and outcome.score == 0.0


@pytest.mark.parametrize(
    "reply",
    ["It will not rain.", "", "x" * 100_000, [(FORECAST_NAME, "{")], [("f" * 100_000, {})],
     [(FORECAST_NAME, KYOTO)] * 1000],
    ids=["prose", "nothing", "100k characters", "broken", "long name", "1000 calls"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["react", "dfsdt"])
def test_odd_replies_are_marks_and_end(reply: Any, method: str) -> None:
    item = case(method=method, limits="toolbench").item
    mark = asyncio.run(played(item, [reply] * 99)).mark
    assert mark.score == 0.0 and mark.measures["queries"] <= 200


def test_an_engine_that_is_down_is_a_fault() -> None:
    vllm = FakeVllm(scripted([]), down=True)
    with pytest.raises(EngineUnavailable):
        asyncio.run(played(case().item, [], vllm=vllm))


def test_the_answer_is_kept_whole() -> None:
    long = "word " * 2000
    end = (DONE[0], {**DONE[1], "final_answer": long})
    assert asyncio.run(played(case().item, one_by_one([*GOOD[:2], end]))).answer == long
