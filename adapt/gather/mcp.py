"""Sources that are MCP servers: each tool that one lists is an API document of its own.

A tool whose description or schema changed is a new edition, and one that is no longer listed is
gone. The server is a command that is run, with nothing of our environment but the variables that
the option `env` names, or a URL. No tool is ever called. Made by adapt.gather.kinds.
"""

import asyncio
import os
import shlex
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapt.gather.openapi import is_url
from adapt.gather.options import refuse_options, text, texts
from adapt.gather.protocol import Draft, Seen
from adapt.gather.schemas import api_json, tool_json
from store.errors import DocumentError, UserError
from store.source_records import Place, Source

if TYPE_CHECKING:
    from mcp_types import Tool

START_S = 60.0
"""How long a server may take to start and to list its tools, in seconds: npx may install first."""
MAX_TOOLS = 10_000
_PAGES = 1000


class Mcp:
    """Asks MCP servers for their tools."""

    lists_all = True

    def check(self, source: Source) -> None:
        """UserError for a command that is not there, or that cannot be read."""
        refuse_options(source, ("env", "folder"))
        for name in texts(source, "env"):
            if name not in os.environ:
                raise UserError(f"the variable {name} is not set", "set it, or leave it out")
        if not is_url(source.location):
            program = _words(source)[0]
            if shutil.which(program) is None:
                raise UserError(f"{program} is no program here", "give a command line or a URL")

    async def visit(self, source: Source, known: Mapping[str, Place]) -> AsyncIterator[Seen]:
        """As SourceKind.visit."""
        name, tools = await self._asked(source)
        for tool in sorted(tools, key=lambda tool: tool.name):
            described = tool.description or tool.title or ""
            api = api_json(tool.name, described, tool.input_schema)
            made = tool_json(name, "", source.name, [api])
            yield Draft(
                address=f"{source.location}#{tool.name}",
                text=made,
                title=f"{name}: {tool.name}",
                kind="api",
                bytes_read=len(made.encode(errors="replace")),
            )

    async def _asked(self, source: Source) -> "tuple[str, list[Tool]]":
        """The server's name and its tools. DocumentError when it cannot be asked."""
        try:
            async with asyncio.timeout(START_S):
                return await self._list(source)
        except TimeoutError as error:
            raise _unreachable(source, f"it has not answered within {START_S:g} s") from error
        except DocumentError:
            raise
        except Exception as error:
            # The library raises groups of errors of the transports below it.
            raise _unreachable(source, _words_of(error)) from error

    async def _list(self, source: Source) -> "tuple[str, list[Tool]]":
        from mcp import Client

        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                Client(await self._server(source, stack), cache=None)
            )
            tools: list[Tool] = []
            cursor: str | None = None
            for _ in range(_PAGES):
                page = await client.list_tools(cursor=cursor)
                tools += page.tools
                cursor = page.next_cursor
                if cursor is None or len(tools) > MAX_TOOLS:
                    break
            if len(tools) > MAX_TOOLS:
                raise _unreachable(source, f"it lists more than {MAX_TOOLS} tools")
            about = client.server_info
            return (about.name if about else "") or source.name, tools

    async def _server(self, source: Source, stack: AsyncExitStack) -> Any:
        """What the library connects to."""
        if is_url(source.location):
            return await _over_http(source, stack)
        from mcp import StdioServerParameters
        from mcp.client.stdio import stdio_client

        program, *arguments = _words(source)
        env = {name: os.environ[name] for name in texts(source, "env") if name in os.environ}
        # What it says beside the protocol would stand between our own lines.
        aside = stack.enter_context(Path(os.devnull).open("w"))  # noqa: SIM115
        return stdio_client(
            StdioServerParameters(
                command=program, args=arguments, env=env, cwd=text(source, "folder")
            ),
            errlog=aside,
        )


async def _over_http(source: Source, stack: AsyncExitStack) -> Any:
    """A connection to the address that a person gave, wherever it is: the library follows no
    redirect to another one. No proxy of the environment reads along."""
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    client = await stack.enter_async_context(httpx2.AsyncClient(trust_env=False, timeout=START_S))
    return streamable_http_client(source.location, http_client=client)


def _words(source: Source) -> list[str]:
    try:
        words = shlex.split(source.location)
    except ValueError as error:
        raise UserError(
            f"{source.location!r} is no command line: {error}", "close what it opens"
        ) from error
    if not words:
        raise UserError("the command line is empty", "give what starts the server, or its URL")
    return words


def _words_of(error: BaseException) -> str:
    """What an error says; of a group the first in it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _unreachable(source: Source, why: str) -> DocumentError:
    return DocumentError(
        f"source {source.name}: the MCP server {source.location} cannot be asked: {why}",
        "start it by hand to see what is wrong",
    )
