"""Two MCP servers that others wrote, from npm, over both transports."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from store.errors import ToolRetry
from tools.base import CallContext
from tools.mcp import McpTool, tools_of
from tools.mcp_server import Connection, McpServer

NPX = shutil.which("npx")


def _offline() -> str:
    """Why nothing can be had from npm; empty where it can."""
    if NPX is None:
        return "npx is not installed"
    try:
        done = subprocess.run(["npm", "ping"], capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return "npm's registry does not answer"
    return "" if done.returncode == 0 else "npm's registry cannot be reached"


async def said(tool: McpTool, **arguments: Any) -> str:
    return await tool.call(arguments, CallContext("t"))


@pytest.fixture(scope="module")
def npm() -> None:
    if why := _offline():
        pytest.skip(why)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def from_npm(package: str, *arguments: str) -> tuple[str, ...]:
    return ("npx", "-y", package, *arguments)


def test_the_filesystem_server_of_npm_serves_its_folder_and_no_other(
    tmp_path: Path, npm: None
) -> None:
    (tmp_path / "note.txt").write_text("meet at nine")

    async def scenario() -> None:
        command = from_npm("@modelcontextprotocol/server-filesystem", str(tmp_path))
        server = McpServer("files", Connection(command=command, start_timeout_s=180))
        try:
            tools = {tool.spec.name: tool for tool in await tools_of(server)}
            read = tools["read_text_file_for_files"]
            assert await said(read, path=str(tmp_path / "note.txt")) == "meet at nine"
            with pytest.raises(ToolRetry, match="outside allowed directories"):
                await said(read, path="/etc/hostname")
        finally:
            await server.close()

    asyncio.run(asyncio.wait_for(scenario(), 240))


def test_the_everything_server_of_npm_works_over_both_transports(npm: None) -> None:
    """Its tools list, answer, and report progress; one asks for our model, and gets a refusal."""

    async def used(server: McpServer) -> None:
        try:
            tools = {tool.tool: tool for tool in await tools_of(server)}
            assert "hello" in await said(tools["echo"], message="hello")
            added = next(tool for name, tool in tools.items() if name in ("get-sum", "add"))
            assert "5" in await said(added, a=2, b=3)
            assert not any("sampl" in name.lower() for name in tools), "it cannot ask our model"
        finally:
            await server.close()

    package = "@modelcontextprotocol/server-everything"
    stdio = McpServer("all", Connection(command=from_npm(package), start_timeout_s=180))
    asyncio.run(asyncio.wait_for(used(stdio), 240))
    port = free_port()
    process = subprocess.Popen(
        from_npm(package, "streamableHttp"), env={**os.environ, "PORT": str(port)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        _wait_for(port)
        http = McpServer("all", Connection(url=f"http://127.0.0.1:{port}/mcp"))
        asyncio.run(asyncio.wait_for(used(http), 120))
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the server does not listen")
