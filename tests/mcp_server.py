"""A small MCP server on standard input and output: `python mcp_server.py TOOLS.json` lists the
tools that the file names, `{name: description}`, each with the same parameters."""

import json
import sys
from pathlib import Path
from typing import Any

from mcp.server import Server
from mcp_types import ListToolsResult, Tool

SCHEMA = {
    "type": "object",
    "required": ["city"],
    "properties": {
        "city": {"type": "string", "description": "name of the city"},
        "days": {"type": ["integer", "null"], "default": 3},
        "unit": {"type": "string", "enum": ["C", "F"]},
    },
}


async def list_tools(context: Any, parameters: Any) -> ListToolsResult:
    """All tools of the file."""
    named = json.loads(Path(sys.argv[1]).read_text())
    return ListToolsResult(
        tools=[Tool(name=n, description=said, input_schema=SCHEMA) for n, said in named.items()]
    )


if __name__ == "__main__":
    import asyncio

    from mcp.server.stdio import stdio_server

    async def serve() -> None:
        """Until standard input ends."""
        server = Server("weather", on_list_tools=list_tools)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    sys.stderr.write("a word beside the protocol\n")
    asyncio.run(serve())
