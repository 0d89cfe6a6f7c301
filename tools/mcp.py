"""Tools of an MCP server: what it lists becomes functions, and a call of one is a call there.

What a server returns is text that the model reads. Its tools stay what they were when they were
listed: one that describes itself otherwise later is not heard. Called by adapt.toolbox and
adapt.gather.mcp.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.errors import ToolFailed, ToolRetry
from tools.base import CallContext, ToolSpec
from tools.mcp_server import McpServer, words_of
from tools.schema import described, problem_of
from tools.virtual_api.catalogue import function_name

if TYPE_CHECKING:
    import mcp_types
    from mcp import Client

MAX_TOOLS = 1000


@dataclass(frozen=True)
class McpTool:
    """One tool of a server."""

    server: McpServer
    tool: str
    """What the server calls it."""
    spec: ToolSpec

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> str:
        """Its text. ToolRetry for arguments that do not fit, for what the tool itself reports and
        for a server that broke off; ToolFailed for a server that cannot be reached."""
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED

        if problem := problem_of(self.spec.parameters, arguments):
            raise ToolRetry(problem)
        client = await self.server.client()
        try:
            result = await client.call_tool(self.tool, dict(arguments))
        except asyncio.CancelledError:
            self.server.doubt()
            raise
        except MCPError as error:
            self.server.doubt()
            if error.error.code == CONNECTION_CLOSED or self.server.aside.broke:
                raise self.server.broke_off(error.error.message) from error
            raise ToolRetry(f"{self.tool}: {error.error.message}") from error
        except Exception as error:
            self.server.doubt()
            raise self.server.broke_off(words_of(error)) from error
        text = _text(result)
        if result.is_error:
            raise ToolRetry(text or f"{self.tool} failed without a word")
        return text


async def tools_of(server: McpServer, called: str = "") -> list[McpTool]:
    """What a server lists, as functions `<tool>_for_<called>` (its name of ours, where that is
    empty). ToolFailed when it cannot be asked.

    What is no tool is left out and noted in `server.aside.dropped`.
    """
    found = await listed(server, await server.client())
    made: list[McpTool] = []
    for tool in found:
        said = described(tool.description or tool.title, tool.name.replace("_", " ")[:64])
        name = function_name(tool.name, called or server.name)
        made.append(McpTool(server, tool.name, ToolSpec(name, said, tool.input_schema)))
    return made


async def listed(
    server: McpServer, client: "Client", most: int = MAX_TOOLS
) -> "list[mcp_types.Tool]":
    """What a connected server lists, in its words. ToolFailed when it does not, or lists more than
    `most`."""
    tools: list[mcp_types.Tool] = []
    cursor: str | None = None
    most_s = server.connection.start_timeout_s
    try:
        async with asyncio.timeout(most_s):
            while True:
                page = await client.list_tools(cursor=cursor)
                tools += page.tools
                cursor = page.next_cursor
                if len(tools) > most:
                    raise server.unreachable(f"it lists more than {most} tools")
                if cursor is None:
                    return tools
    except TimeoutError as error:
        raise server.unreachable(f"it has not listed its tools within {most_s:g} s") from error
    except ToolFailed:
        raise
    except Exception as error:
        raise server.unreachable(words_of(error)) from error


def _text(result: Any) -> str:
    """What a model can read of a result: its texts, and in words what else there is."""
    parts: list[str] = []
    for block in result.content:
        if block.type == "text":
            parts.append(block.text)
        elif block.type == "resource" and hasattr(block.resource, "text"):
            parts.append(block.resource.text)
        elif block.type == "resource_link":
            parts.append(f"[{block.name}: {block.uri}]")
        else:
            kind = getattr(block, "mime_type", "") or block.type
            parts.append(f"[{kind}, which cannot be shown here]")
    if not parts and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(parts)
