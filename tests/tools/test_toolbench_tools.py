"""APIs of ToolBench's tool files as tools, called through a server that speaks its protocol."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapt.serving import serving
from agent.config import FetchSettings
from store.errors import DocumentError, ToolFailed, ToolRetry
from tools.base import CallContext, ToolSpec
from tools.fetch import Fetcher
from tools.toolbench import ToolBenchServer, ToolBenchTool, tools_of
from tools.virtual_api.catalogue import build_catalogue
from tools.virtual_api.executor import Session
from tools.virtual_api.server import create_app

LIMITS = FetchSettings(allow=("127.0.0.1/32",), timeout_s=10.0)
CATALOGUE = build_catalogue(0)


def written(folder: Path) -> Path:
    """Two tools of the universe as ToolBench publishes them, beside files that are none."""
    for tool in CATALOGUE.tools[:2]:
        place = folder / tool.category
        place.mkdir(exist_ok=True)
        (place / f"{tool.name}.json").write_text(json.dumps(tool.to_json()))
    place = folder / "Broken"
    place.mkdir()
    (place / "no_json.json").write_text("{")
    (place / "no_tool.json").write_text('{"a": 1}')
    (place / "a_list.json").write_text("[]")
    (place / "deep.json").write_text("[" * 100_000)
    bad = {"name": "x", "required_parameters": ["no object"], "optional_parameters": None}
    typed = {"name": "y", "required_parameters": [{"name": "p", "description": 3}]}
    (place / "odd.json").write_text(json.dumps({"tool_name": "odd", "api_list": [bad, typed, 7]}))
    return folder


def tools(folder: Path, url: str = "http://127.0.0.1:1/virtual") -> Any:
    return tools_of(folder, ToolBenchServer(url, Fetcher(LIMITS)))


def test_the_apis_of_a_folder_have_the_names_that_learning_teaches(tmp_path: Path) -> None:
    made, dropped = tools(written(tmp_path))
    expected = [api.function for tool in CATALOGUE.tools[:2] for api in tool.apis]
    assert sorted(tool.spec.name for tool in made) == sorted(expected)
    assert set(dropped) == {
        "Broken/no_json.json", "Broken/no_tool.json", "Broken/a_list.json", "Broken/deep.json",
        "Broken/odd.json: x", "Broken/odd.json: y",
    }  # fmt: skip
    with pytest.raises(DocumentError, match="is no folder"):
        tools(tmp_path / "absent")


def value_of(about: dict[str, Any]) -> Any:
    """A value that fits a parameter."""
    kinds = {"integer": 1, "number": 1.5, "boolean": True}
    dated = "2026-05-05" if about.get("format") == "date" else "x"
    return about["enum"][0] if "enum" in about else kinds.get(about["type"], dated)


def test_a_call_is_executed_by_the_server(tmp_path: Path) -> None:
    """Each gets what the universe itself gives to these arguments, answer or error."""
    world, outcomes = Session(CATALOGUE), set[str]()

    async def work(named: dict[str, ToolBenchTool]) -> None:
        for name, tool in named.items():
            properties = tool.spec.parameters["properties"]
            given = {p: value_of(properties[p]) for p in tool.spec.parameters["required"]}
            expected = world.execute(name, given)
            outcomes.add("error" if "error" in expected else "answer")
            if "error" in expected:
                with pytest.raises(ToolRetry) as raised:
                    await tool.call(given, CallContext("t"))
                assert raised.value.message == expected["error"]
            else:
                assert json.loads(await tool.call(given, CallContext("t"))) == expected
        lost = replace(next(iter(named.values())), api="unheard", spec=ToolSpec("f", "", {}))
        with pytest.raises(ToolRetry, match="no API unheard"):
            await lost.call({}, CallContext("t"))

    asyncio.run(_on(tmp_path, create_app(CATALOGUE), work))
    assert "answer" in outcomes


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (200, b'{"error": "", "response": {"a": 1}}', None, '{"a": 1}'),
        (200, b'{"error": "no key", "response": ""}', ToolRetry, "no key"),
        (200, b"[]", ToolFailed, "no reply"), (200, b"{", ToolFailed, "no reply"),
        (200, b"[" * 100_000, ToolFailed, "no reply"),
        (500, b"", ToolRetry, "status 500"), (302, b"", ToolRetry, "status 302"),
    ],
)  # fmt: skip
def test_whatever_the_server_says_is_a_result(
    tmp_path: Path, status: int, body: bytes, error: Any, words: str
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        head = {"type": "http.response.start", "status": status}
        await send({**head, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    async def work(named: dict[str, ToolBenchTool]) -> None:
        tool = next(iter(named.values()))
        call = replace(tool, spec=ToolSpec("f", "", {})).call({}, CallContext("t"))
        if error is None:
            assert await call == words
        else:
            with pytest.raises(error, match=words):
                await call

    asyncio.run(_on(tmp_path, app, work))


async def _on(
    folder: Path, app: Any, work: Callable[[dict[str, ToolBenchTool]], Awaitable[None]]
) -> None:
    async with serving(app, "127.0.0.1", 0, 5.0) as url, Fetcher(LIMITS) as fetcher:
        server = ToolBenchServer(f"{url}/virtual", fetcher)
        made, _ = tools_of(written(folder), server)
        await asyncio.wait_for(work({tool.spec.name: tool for tool in made}), 30)
