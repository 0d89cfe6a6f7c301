"""The universe over HTTP in StableToolBench's shape, and as tools of the agent."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from store.errors import NotFoundError, ToolRetry
from tools.base import CallContext
from tools.virtual import Sessions, virtual_tools
from tools.virtual_api.catalogue import Api, Catalogue, build_catalogue, schema_of
from tools.virtual_api.executor import RATE_LIMITED, TRANSIENT, Session, random_value
from tools.virtual_api.server import create_app

WORLD = build_catalogue(0)


def api_of(kind: str, catalogue: Catalogue = WORLD) -> Api:
    """The first API of a kind that takes no code from another."""
    apis = catalogue.by_function.values()
    return next(a for a in apis if a.kind == kind and all(p.role == "value" for p in a.parameters))


def arguments_of(api: Api) -> dict[str, Any]:
    rng = random.Random(3)
    return {p.name: random_value(rng, p.kind, p.choices) for p in api.parameters}


def payload(api: Api, arguments: Any, **more: Any) -> dict[str, Any]:
    names = {"category": api.category, "tool_name": api.tool, "api_name": api.name}
    return {**names, "tool_input": arguments, "strip": "", "toolbench_key": "", **more}


def post(
    *payloads: dict[str, Any],
    session_of: Callable[[str], Session] | None = None,
    headers: dict[str, str] | None = None,
) -> list[dict[str, str]]:
    async def work() -> list[dict[str, str]]:
        transport = httpx.ASGITransport(create_app(WORLD, session_of))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            sent = [await client.post("/virtual", json=p, headers=headers) for p in payloads]
            assert [r.status_code for r in sent] == [200] * len(sent)
            return [r.json() for r in sent]

    return asyncio.run(work())


def test_a_call_answers_what_the_executor_does() -> None:
    """Also with standardized names, tool_input as text, and the function's name for the API's."""
    api = api_of("find")
    arguments = arguments_of(api)
    wanted = Session(WORLD).execute(api.function, arguments)
    lower = payload(api, json.dumps(arguments)) | {
        "category": api.category.upper(), "tool_name": api.tool.lower(), "api_name": api.function,
    }  # fmt: skip
    for reply in post(payload(api, arguments), lower):
        assert reply["error"] == ""
        assert json.loads(reply["response"]) == wanted


def test_what_a_session_creates_is_its_own() -> None:
    create, cancel = api_of("create"), None
    tool = next(t for t in WORLD.tools if t.name == create.tool)
    cancel = tool.apis[3]
    made = payload(create, arguments_of(create), session="a")
    (first,) = post(made)
    reference = json.loads(first["response"])["reference"]
    drop = {p.name: reference for p in cancel.parameters if p.required}
    worlds = Sessions(WORLD)
    _, other, own = post(
        made, payload(cancel, drop, session="b"), payload(cancel, drop, session="a"),
        session_of=worlds,
    )  # fmt: skip
    assert other["error"] == f"no reference {reference}"
    assert json.loads(own["response"]) == {"cancelled": reference}
    (by_header,) = post(payload(cancel, drop), session_of=worlds, headers={"X-Session": "a"})
    assert by_header["error"] == ""


def test_faults_are_data() -> None:
    api = api_of("find")
    unknown = payload(api, {}) | {"api_name": "nothing"}
    replies = post(payload(api, {}), payload(api, "{x"), payload(api, "[1]"), unknown)
    assert [bool(r["error"]) for r in replies] == [True] * 4
    assert all(r["response"] == "" for r in replies)
    required = next(p.name for p in api.parameters if p.required)
    assert replies[0]["error"] == f"missing parameter {required}"
    assert "nothing" in replies[3]["error"]


def test_rate_limits_and_transient_errors_come_on_demand() -> None:
    api = api_of("find")
    good = payload(api, arguments_of(api))
    flaky = Session(WORLD, transient=2)
    replies = post(good, good, good, session_of=lambda _: flaky)
    assert [r["error"] for r in replies] == [TRANSIENT, TRANSIENT, ""]
    limited = Session(WORLD, rate_limit=1)
    replies = post(good, good, good, session_of=lambda _: limited)
    assert [r["error"] for r in replies] == ["", RATE_LIMITED, ""]


def test_virtual_tools_show_the_schema_and_pass_errors_on() -> None:
    api = api_of("find")
    (tool,) = virtual_tools(WORLD, Sessions(WORLD), [api.function])
    assert tool.spec.function() == schema_of(api)
    arguments = arguments_of(api)
    reply = asyncio.run(tool.call(arguments, CallContext("t")))
    assert json.loads(reply) == Session(WORLD).execute(api.function, arguments)
    with pytest.raises(ToolRetry, match="missing parameter"):
        asyncio.run(tool.call({}, CallContext("t")))
    with pytest.raises(NotFoundError, match="no API 'nothing'"):
        virtual_tools(WORLD, Sessions(WORLD), ["nothing"])


def test_worlds_of_threads_are_kept_up_to_a_limit() -> None:
    worlds = Sessions(WORLD, limit=2)
    first = worlds("a")
    assert worlds("a") is first
    worlds("b")
    worlds("a")
    worlds("c")
    assert worlds("a") is first
    assert len(worlds._worlds) == 2
