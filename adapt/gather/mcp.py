"""Sources that are MCP servers: each tool that one lists is an API document of its own.

A tool whose description or schema changed is a new edition, and one that is no longer listed is
gone. The server is a command that is run, with nothing of our environment but the variables that
the option `env` names, or a URL. No tool is ever called. Made by adapt.gather.kinds.
"""

import os
import shlex
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from adapt.gather.openapi import is_url
from adapt.gather.options import refuse_options, text, texts
from adapt.gather.protocol import Draft, Seen, Unusable
from adapt.gather.schemas import api_json, tool_json
from store.errors import DocumentError, ToolFailed, UserError
from store.source_records import Place, Source
from tools.mcp import listed
from tools.mcp_server import Connection, McpServer

if TYPE_CHECKING:
    from mcp_types import Tool

START_S = 60.0
"""How long a server may take to start and to list its tools, in seconds: npx may install first."""
MAX_TOOLS = 10_000


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
        name, tools, dropped = await _asked(source)
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
        for word, why in sorted(dropped.items()):
            yield Unusable(f"{source.location}#{word}", why)


async def _asked(source: Source) -> "tuple[str, list[Tool], dict[str, str]]":
    """The server's name, its tools, and what it lists that is none, with the reason. DocumentError
    when it cannot be asked."""
    url = source.location if is_url(source.location) else ""
    folder = text(source, "folder")
    server = McpServer(
        source.name,
        Connection(
            command=() if url else tuple(_words(source)), url=url, start_timeout_s=START_S,
            env={name: os.environ[name] for name in texts(source, "env") if name in os.environ},
            folder=Path(folder) if folder else Path.cwd(),
        ),
    )  # fmt: skip
    try:
        client = await server.client()
        about = client.server_info
        tools = await listed(server, client, MAX_TOOLS)
    except ToolFailed as error:
        raise DocumentError(f"source {source.name}: {error.message}", error.hint) from error
    finally:
        await server.close()
    return (about.name if about else "") or source.name, tools, server.aside.dropped


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
