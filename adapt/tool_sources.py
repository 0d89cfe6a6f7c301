"""The sources of tools that the settings name, each loaded into tools: MCP, OpenAPI, ToolBench.

A source that cannot be loaded is an error of that source alone. Puts nothing together: that is
adapt.toolbox, which calls it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent.config_sections import Settings
from agent.config_tools import (
    McpSettings,
    OpenApiSettings,
    Permission,
    SourceSettings,
    ToolBenchSettings,
)
from store.errors import ConfigError
from tools import mcp, openapi, toolbench
from tools.base import Tool
from tools.fetch import Fetcher
from tools.mcp_server import Connection, McpServer


@dataclass(frozen=True)
class Offered:
    """One tool, what its source calls it, and whether it is asked about if nothing else is said."""

    tool: Tool
    own: str
    permission: Permission = "allow"


@dataclass
class Loaded:
    """What a source has. `dropped` is what it lists that is no tool, with the reason."""

    tools: list[Offered] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)


class ToolSource(Protocol):
    """One source, which may be loaded again where it could not be."""

    @property
    def name(self) -> str:
        """Kind and name, such as `mcp files`."""
        ...

    @property
    def settings(self) -> SourceSettings:
        """What the settings say of it."""
        ...

    async def load(self) -> Loaded:
        """Its tools. PerennialError when they cannot be had now."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


class McpSource:
    """One MCP server, connected to until it is closed."""

    def __init__(self, name: str, settings: McpSettings) -> None:
        self.name = f"mcp {name}"
        self.settings = settings
        self._server = McpServer(
            name,
            Connection(
                command=settings.command, url=settings.url, folder=settings.folder,
                env={name: os.environ[name] for name in settings.env if name in os.environ},
                headers={h: os.environ.get(v, "") for h, v in settings.headers.items()},
                start_timeout_s=settings.start_timeout_s,
                max_message_bytes=settings.max_message_bytes,
            ),
        )  # fmt: skip

    async def load(self) -> Loaded:
        """As ToolSource.load. What a server says of its tools' safety is not relied on."""
        variables((*self.settings.env, *self.settings.headers.values()))
        found = await mcp.tools_of(self._server, self.settings.called)
        return Loaded(
            [Offered(tool, tool.tool, "confirm") for tool in found], self._server.aside.dropped
        )

    async def close(self) -> None:
        """End the connection."""
        await self._server.close()


class OpenApiSource:
    """One OpenAPI document."""

    def __init__(self, name: str, settings: OpenApiSettings, fetcher: Fetcher, limits: Any) -> None:
        self.name = f"openapi {name}"
        self.settings = settings
        self._called = settings.called or name
        self._fetcher, self._limits = fetcher, limits

    async def load(self) -> Loaded:
        """As ToolSource.load."""
        headers = variables(self.settings.headers.values())
        sent = {header: headers[name] for header, name in self.settings.headers.items()}
        service = openapi.Service(self.settings.server, self._fetcher, sent)
        location = self.settings.location
        text = await openapi.document_of(location, self._fetcher, self._limits)
        read = await asyncio.to_thread(openapi.tools_of, text, location, service, self._called)
        made = [Offered(tool, tool.operation.name, tool.permission) for tool in read.tools]
        return Loaded(made, dict(read.dropped))

    async def close(self) -> None:
        """Nothing: the fetcher is its owner's."""


class ToolBenchSource:
    """One folder of tool files."""

    def __init__(self, name: str, settings: ToolBenchSettings, fetcher: Fetcher) -> None:
        self.name = f"toolbench {name}"
        self.settings = settings
        self._fetcher = fetcher

    async def load(self) -> Loaded:
        """As ToolSource.load."""
        key = self.settings.key
        secret = variables([key])[key] if key else ""
        server = toolbench.ToolBenchServer(self.settings.server, self._fetcher, secret)
        found, dropped = await asyncio.to_thread(
            toolbench.tools_of, self.settings.folder.expanduser(), server
        )
        return Loaded([Offered(tool, tool.api) for tool in found], dropped)

    async def close(self) -> None:
        """Nothing: the fetcher is its owner's."""


@asynccontextmanager
async def open_sources(settings: Settings) -> AsyncIterator[list[ToolSource]]:
    """The sources that the settings name, in their order, closed with the block. None is loaded."""
    named = settings.tools
    async with Fetcher(settings.fetch) as fetcher:
        sources: list[ToolSource] = [McpSource(n, one) for n, one in named.mcp.items()]
        sources += [
            OpenApiSource(n, one, fetcher, settings.fetch) for n, one in named.openapi.items()
        ]
        sources += [ToolBenchSource(n, one, fetcher) for n, one in named.toolbench.items()]
        try:
            yield sources
        finally:
            await asyncio.gather(*(source.close() for source in sources), return_exceptions=True)


def variables(names: Iterable[str]) -> Mapping[str, str]:
    """The environment's variables of these names. ConfigError for one that is not set."""
    found: dict[str, str] = {}
    for name in names:
        if name not in os.environ:
            raise ConfigError(f"the variable {name} is not set", "set it, or leave it out")
        found[name] = os.environ[name]
    return found
