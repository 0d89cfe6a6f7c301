"""Tools of MCP servers, over both transports, and servers that die, hang, flood and lie.

The servers are real processes.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from store.errors import ToolFailed, ToolRetry
from tools.base import CallContext, Terms
from tools.mcp import McpTool, tools_of
from tools.mcp_server import Connection, McpServer
from tools.registry import Registry

SCRIPT = Path(__file__).resolve().parents[1] / "tool_server.py"


def on(mode: str, work: Callable[[McpServer], Awaitable[Any]], **more: Any) -> Any:
    """Do something with a server of that mode; it is closed, and nothing of it stays behind."""

    async def scenario() -> Any:
        command = (sys.executable, str(SCRIPT), mode)
        server = McpServer("weather", Connection(command=command, **more), rest_s=0.0)
        try:
            return await work(server)
        finally:
            await server.close()

    return asyncio.run(asyncio.wait_for(scenario(), 60))


async def named(server: McpServer, name: str = "forecast") -> McpTool:
    """One of its tools."""
    return next(tool for tool in await tools_of(server) if tool.tool == name)


async def said(tool: McpTool, **arguments: Any) -> str:
    return await tool.call(arguments, CallContext("t"))


@pytest.mark.parametrize("mode", ["good", "library"])
def test_a_servers_tools_become_functions_and_a_call_is_a_call_there(mode: str) -> None:
    """The second server sends results whose schema has a pattern that would run for ever."""

    async def work(server: McpServer) -> None:
        tools = await tools_of(server)
        assert [t.spec.name for t in tools] == [
            "forecast_for_weather", "environment_for_weather", "fails_for_weather",
        ]  # fmt: skip
        assert tools[0].spec.parameters["required"] == ["city"]
        assert json.loads(await said(tools[0], city="Ys", days=2)) == {"city": "Ys", "days": 2}
        assert server.starts == 1
        again = await tools_of(server, "sky")
        assert again[0].spec.name == "forecast_for_sky"

    on(mode, work)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({}, "parameter city is missing"), ({"city": 3}, "city must be string")],
)
def test_arguments_that_do_not_fit_are_not_sent(arguments: dict[str, Any], words: str) -> None:
    async def work(server: McpServer) -> None:
        with pytest.raises(ToolRetry, match=words):
            await said(await named(server), **arguments)

    on("good", work)


def test_an_error_of_the_tool_is_its_result() -> None:
    async def work(server: McpServer) -> None:
        with pytest.raises(ToolRetry, match="no such city"):
            await said(await named(server, "fails"), city="Ys")

    on("good", work)


def test_a_program_gets_the_variables_that_are_named_and_no_others() -> None:
    """Neither our keys nor the folder that we run in."""
    os.environ["PERENNIAL_TEST_SECRET"] = "secret-words"

    async def work(server: McpServer) -> None:
        told = json.loads(await said(await named(server, "environment"), city="Ys"))
        assert "PERENNIAL_TEST_SECRET" not in told["variables"]
        assert "GIVEN" in told["variables"] and "PATH" in told["variables"]
        assert told["folder"] != os.getcwd()

    try:
        on("good", work, env={"GIVEN": "1"})
    finally:
        del os.environ["PERENNIAL_TEST_SECRET"]


def test_a_server_that_dies_in_a_call_costs_that_call_and_is_started_anew() -> None:
    async def work(server: McpServer) -> None:
        tool = await named(server)
        with pytest.raises(ToolRetry, match="weather broke off the call"):
            await said(tool, city="Ys")
        assert json.loads(await said(tool, city="Rome")) == {"city": "Rome"}
        assert server.starts == 2

    on("dies", work)


def test_a_server_that_hangs_costs_one_timeout_and_is_started_anew() -> None:
    async def work(server: McpServer) -> None:
        tool = await named(server)
        registry = Registry([tool], usual=Terms(timeout_s=0.3))
        stuck = await registry.call(tool.spec.name, '{"city": "Ys"}', CallContext("t"))
        assert "did not answer within 0.3 s" in stuck.text and stuck.retry
        assert json.loads(await said(tool, city="Rome")) == {"city": "Rome"}
        assert server.starts == 2

    on("hangs", work)


def test_a_server_that_floods_is_ended_at_the_bound() -> None:
    """Without an end of line, so that a reader of lines would hold all of it."""

    async def work(server: McpServer) -> None:
        tool = await named(server)
        with pytest.raises(ToolRetry, match="a message of more than 200000 bytes"):
            await said(tool, city="Ys")
        assert json.loads(await said(tool, city="Rome")) == {"city": "Rome"}

    on("floods", work, max_message_bytes=200_000)


def test_a_server_that_chatters_beside_the_protocol_costs_a_timeout() -> None:
    """And little of our time: what it says is read slowly."""

    async def work(server: McpServer) -> None:
        tool = await named(server)
        registry = Registry([tool], usual=Terms(timeout_s=0.5))
        began = time.process_time()
        stuck = await registry.call(tool.spec.name, '{"city": "Ys"}', CallContext("t"))
        assert stuck.retry and time.process_time() - began < 0.4
        assert json.loads(await said(tool, city="Rome")) == {"city": "Rome"}

    on("chatters", work)


def test_what_is_no_tool_is_left_out_and_the_others_stay() -> None:
    """A schema that is none would break the prompt of every conversation."""

    async def work(server: McpServer) -> None:
        tools = await tools_of(server)
        assert [t.tool for t in tools] == ["forecast", "environment", "fails", "marked"]
        wrong = {"text", "list", "typed", "inner", "huge", "7", "a word"}
        assert set(server.aside.dropped) == wrong
        assert "<|user|>" not in tools[3].spec.description
        assert "</tool_call>" not in tools[3].spec.description
        assert json.loads(await said(tools[0], city="Ys")) == {"city": "Ys"}

    on("lists", work)


def test_a_server_that_does_not_start_is_named_with_what_it_said() -> None:
    async def work(server: McpServer) -> None:
        with pytest.raises(ToolFailed, match=r"weather cannot be asked: .*within 1 s.*a word bes"):
            await tools_of(server)

    on("slow", work, start_timeout_s=1.0)


def test_a_program_that_is_not_there_is_named() -> None:
    async def scenario() -> None:
        server = McpServer("weather", Connection(command=("no-such-program",)))
        for _ in range(2):
            with pytest.raises(ToolFailed, match="no-such-program"):
                await server.client()
        assert server.starts == 1, "it rests before it is tried again"
        await server.close()

    asyncio.run(scenario())


def test_nothing_of_a_server_stays_behind() -> None:
    """Neither the program nor what it started, also where it ignores the end of its input."""

    # Other tests' servers and databases are below ours as well, and stay.
    others = children()

    async def scenario() -> set[int]:
        command = ("sh", "-c", f"{sys.executable} {SCRIPT} hangs; true")
        server = McpServer("weather", Connection(command=command))
        tool = await named(server)
        stuck = asyncio.create_task(said(tool, city="Ys"))
        await asyncio.sleep(0.3)
        before = children() - others
        stuck.cancel()
        await server.close()
        return before

    before = asyncio.run(asyncio.wait_for(scenario(), 60))
    assert before
    assert not [pid for pid in before if Path(f"/proc/{pid}").exists()]


def children() -> set[int]:
    """The processes below ours."""
    import psutil

    return {child.pid for child in psutil.Process().children(recursive=True)}


@contextmanager
def over_http() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The URL of a server, and its process."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "http"], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/mcp", process
    finally:
        process.kill()
        process.communicate()


def test_a_server_over_http_is_called_and_its_death_is_contained() -> None:
    async def work(url: str, process: subprocess.Popen[str]) -> None:
        server = McpServer("weather", Connection(url=url, start_timeout_s=20), rest_s=0.0)
        tool = await named(server)
        assert json.loads(await said(tool, city="Rome")) == {"city": "Rome"}
        with pytest.raises(ToolRetry):
            await said(tool, city="Ys")
        process.wait(10)
        with pytest.raises(ToolFailed, match="weather cannot be asked"):
            await said(tool, city="Rome")
        await server.close()

    with over_http() as (url, process):
        asyncio.run(asyncio.wait_for(work(url, process), 60))


def test_an_answer_over_http_has_a_bound() -> None:
    """Of a server that sends without end, or packed."""

    def head(more: str) -> bytes:
        return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{more}\r\n".encode()

    async def answering(more: str, body: bytes, words: str) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(head(more))
                for _ in range(1000):
                    writer.write(body)
                    await writer.drain()
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        connection = Connection(
            url=f"http://127.0.0.1:{port}/mcp", start_timeout_s=10, max_message_bytes=10_000
        )
        server = McpServer("weather", connection)
        async with listening:
            with pytest.raises(ToolFailed, match=words):
                await server.client()
        await server.close()

    asyncio.run(asyncio.wait_for(answering("", b"[" * 5000, "more than 10000 bytes"), 60))
    asyncio.run(asyncio.wait_for(answering("Content-Encoding: gzip\r\n", b"x", "cannot be"), 60))
