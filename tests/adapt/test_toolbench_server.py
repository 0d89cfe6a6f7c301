"""The virtual API server: who answers first, and that nothing that hangs or breaks ends a run."""

import asyncio
import json
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from toolbench_cases import FORECAST, FORECAST_NAME, KYOTO, body, write_replies

from adapt.evals.toolbench.cache import ReplyCache
from adapt.evals.toolbench.functions import schema_of
from adapt.evals.toolbench.protocol import STATUS_OF_ERROR, Status
from adapt.evals.toolbench.queries import Api
from adapt.evals.toolbench.server import ToolReply, ToolServer, as_text, universe
from adapt.evals.toolbench.simulator import Simulator
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from tools.virtual_api.catalogue import build_catalogue
from tools.virtual_api.catalogue import schema_of as universe_schema
from tools.virtual_api.folder import read_catalogue

SCHEMA = schema_of(FORECAST_NAME, FORECAST)


def ask(server: ToolServer, arguments: dict[str, Any] = KYOTO, times: int = 1) -> list[ToolReply]:
    """What the server says to calls of one query, one after the other."""

    async def run() -> list[ToolReply]:
        service = server.start()
        return [await service.call(FORECAST, SCHEMA, arguments) for _ in range(times)]

    return asyncio.run(run())


def function(run: Callable[[dict[str, Any]], Any], **settings: Any) -> ToolServer:
    """A server with one function."""
    return ToolServer(worlds=[lambda: {FORECAST_NAME: run}], **settings)


def simulator(vllm: FakeVllm) -> Simulator:
    """A simulator on an engine without a model."""
    return Simulator(Engine(Path("-"), transport=vllm), "base")


def test_the_order_is_cache_function_simulator_template(tmp_path: Path) -> None:
    write_replies(tmp_path, {str(KYOTO): body("recorded")})
    vllm = FakeVllm(lambda *_: '{"response": "simulated"}')
    whole = ToolServer(
        ReplyCache(tmp_path), [lambda: {FORECAST_NAME: lambda given: "called"}], simulator(vllm)
    )
    other = {"city": "Oslo"}
    seen = [ask(whole)[0], ask(whole, other)[0]]
    whole.worlds = []
    seen.append(ask(whole, other)[0])
    whole.simulator = None
    seen.append(ask(whole, other)[0])
    assert [r.source for r in seen] == ["cache", "executor", "simulator", "template"]
    assert [r.body["response"] for r in seen[:3]] == ["recorded", "called", "simulated"]
    assert {r.status for r in seen} == {Status.OK}


def test_without_sources_a_reply_follows_the_template() -> None:
    (reply,) = ask(ToolServer())
    assert reply.source == "template"
    assert set(reply.body["response"]["days"][0]) == {"sky", "high"}
    assert ask(ToolServer()) == [reply] != ask(ToolServer(), {"city": "Oslo"})


def test_a_template_answers_no_call_that_does_not_fit() -> None:
    (reply,) = ask(ToolServer(), {})
    assert reply.status is Status.ERROR_FIELD and reply.body["response"] == "missing city"


@pytest.mark.parametrize("words", STATUS_OF_ERROR)
def test_recorded_errors_have_the_published_statuses(tmp_path: Path, words: str) -> None:
    write_replies(tmp_path, {str(KYOTO): {"error": words, "response": ""}})
    assert ask(ToolServer(ReplyCache(tmp_path)))[0].status is STATUS_OF_ERROR[words]


def test_a_function_that_hangs_is_a_timeout_and_is_not_called_again_while_it_does() -> None:
    calls, free = [], Event()

    def hang(given: dict[str, Any]) -> None:
        calls.append(given)
        free.wait()

    began = time.monotonic()
    replies = ask(function(hang, timeout_s=0.1), times=5)
    assert time.monotonic() - began < 2.0
    free.set()
    assert [(r.status, r.source) for r in replies] == [(Status.TIMEOUT, "executor")] * 5
    assert len(calls) == 1


def test_an_async_function_is_awaited_and_bounded() -> None:
    async def quick(given: dict[str, Any]) -> str:
        return given["city"]

    async def slow(given: dict[str, Any]) -> None:
        await asyncio.sleep(60)

    assert ask(function(quick))[0].body["response"] == "Kyoto"
    assert ask(function(slow, timeout_s=0.05))[0].status is Status.TIMEOUT


def test_a_function_that_raises_costs_one_call() -> None:
    def broken(given: dict[str, Any]) -> None:
        raise RuntimeError("no wind")

    (reply,) = ask(function(broken))
    assert reply.status is Status.NOT_SENT and "no wind" in reply.body["error"]


def test_what_is_no_json_becomes_text() -> None:
    (reply,) = ask(function(lambda given: {"at": Path("a")}))
    assert json.loads(as_text(reply.body))["response"] == {"at": "a"}
    cyclic: dict[str, Any] = {}
    cyclic["self"] = cyclic
    assert "no JSON" in as_text(ask(function(lambda given: cyclic))[0].body)


def test_each_query_has_a_world_of_its_own() -> None:
    def world() -> dict[str, Callable[[dict[str, Any]], Any]]:
        numbers = count(1)
        return {FORECAST_NAME: lambda given: next(numbers)}

    server = ToolServer(worlds=[world])
    assert [r.body["response"] for r in ask(server, times=2)] == [1, 2]
    assert ask(server)[0].body["response"] == 1


def test_the_virtual_universe_answers_by_its_functions() -> None:
    catalogue = build_catalogue(3)
    api = next(a for a in catalogue.by_function.values() if a.kind == "list")

    async def call(given: dict[str, Any]) -> ToolReply:
        service = ToolServer(worlds=[universe(catalogue)]).start()
        return await service.call(
            Api(api.category, api.tool, api.name), universe_schema(api), given
        )

    good = asyncio.run(call({p.name: _value(p) for p in api.parameters if p.required}))
    assert good.source == "executor" and isinstance(good.body["response"]["count"], int)
    bad = asyncio.run(call({"no_such": 1}))
    assert bad.status is Status.ERROR_FIELD and "no_such" in bad.body["response"]


def _value(parameter: Any) -> Any:
    """A value that the universe takes."""
    made = {"integer": 3, "number": 1.5, "boolean": True, "date": "2030-01-02"}
    return parameter.choices[0] if parameter.choices else made.get(parameter.kind, "Vuza")


def test_a_folder_of_tool_files_answers_as_a_world(tmp_path: Path) -> None:
    parameter = {"name": "city", "type": "STRING", "description": "where", "default": ""}
    tool = {
        "tool_name": "Sky Watch",
        "api_list": [{"name": "Forecast", "required_parameters": [parameter]}],
    }
    (tmp_path / "sky_watch.json").write_text(json.dumps(tool))
    server = ToolServer(worlds=[universe(read_catalogue(tmp_path))])
    assert "result" in ask(server)[0].body["response"]


def test_the_simulator_reads_the_function_the_arguments_and_recorded_examples(
    tmp_path: Path,
) -> None:
    write_replies(tmp_path, {str({"city": "Rome"}): body("hot")})
    vllm = FakeVllm(lambda *_: 'Sure: ```json\n{"error": "", "response": {"sky": "dry"}}```')
    server = ToolServer(ReplyCache(tmp_path), simulator=simulator(vllm))
    replies = ask(server, times=2)
    assert [r.body["response"] for r in replies] == [{"sky": "dry"}] * 2
    assert len(vllm.requests) == 1, "the same call is simulated once"
    shown = vllm.requests[0][1]["messages"][1]["content"]
    assert all(words in shown for words in (FORECAST_NAME, "Kyoto", "Rome", "hot"))


@pytest.mark.parametrize("words", ["no idea", "{", '{"error": "x"}', "[]", "{" * 50_000])
def test_a_simulator_that_writes_no_reply_is_a_failed_call_after_three_tries(words: str) -> None:
    vllm = FakeVllm(lambda *_: words)
    (reply,) = ask(ToolServer(simulator=simulator(vllm)))
    assert reply.status is Status.NOT_SENT and len(vllm.requests) == 3


def test_a_simulator_that_is_down_or_hangs_is_a_failed_call() -> None:
    down = FakeVllm(lambda *_: "", down=True)
    assert ask(ToolServer(simulator=simulator(down)))[0].status is Status.NOT_SENT
    slow = FakeVllm(lambda *_: '{"response": 1}', delay_s=60)
    replies = ask(ToolServer(simulator=simulator(slow), timeout_s=0.05))
    assert (replies[0].status, replies[0].source) == (Status.TIMEOUT, "simulator")
