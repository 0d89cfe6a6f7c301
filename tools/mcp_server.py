"""One MCP server and the connection to it: made once, kept, and made anew when it broke.

Connects on its own task, so that a call which gives up waiting does not stop a server that needs
long to start. The server can ask nothing of us: neither the model nor the user nor a file. Knows
nothing of tools: tools.mcp does, which calls it.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from store.errors import ToolFailed, ToolRetry
from tools.mcp_address import address
from tools.mcp_listing import Aside
from tools.mcp_program import program

if TYPE_CHECKING:
    from mcp import Client
    from mcp.client._transport import TransportStreams

LOOK_S = 2.0
"""How long a server that has let a call time out may take to show that it is there, in seconds."""
REST_S = 30.0
"""A server that could not be started is not tried again for so long, in seconds."""
END_S = 10.0
"""How long a connection may take to end before its task is cancelled, in seconds."""


@dataclass(frozen=True)
class Connection:
    """How a server is reached: `command` or `url`."""

    command: tuple[str, ...] = ()
    url: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables that the program gets beside PATH, HOME and the like."""
    headers: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    """Where the program is started. None: a temporary folder."""
    start_timeout_s: float = 60.0
    max_message_bytes: int = 4 << 20


class McpServer:
    """A server under a name of ours. Belongs to one event loop; close it there."""

    def __init__(self, name: str, connection: Connection, rest_s: float = REST_S) -> None:
        self.name = name
        self.connection = connection
        self.aside = Aside()
        self.starts = 0
        """How often it was started or connected to."""
        self._rest_s = rest_s
        self._running: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[Client | ToolFailed] | None = None
        self._stop = asyncio.Event()
        self._lock = asyncio.Lock()
        self._suspect = False
        self._rests_until = 0.0
        self._why = ""

    async def client(self) -> "Client":
        """The library's client, connected. ToolFailed when the server cannot be reached."""
        async with self._lock:
            if self._suspect:
                self._suspect = False
                await self._look()
            if self._ready is None or self.gone():
                await self._end()
                if asyncio.get_running_loop().time() < self._rests_until:
                    raise ToolFailed(self._why, "it is tried again in a moment")
                self._begin()
            assert self._ready is not None, "just begun"
            found = await asyncio.shield(self._ready)
        if isinstance(found, ToolFailed):
            raise found
        return found

    def gone(self) -> bool:
        """Whether the connection has ended, or was ended by us for what it sent."""
        return self._running is None or self._running.done() or bool(self.aside.broke)

    def doubt(self) -> None:
        """Have the next call look whether the server still answers: it has let one time out."""
        self._suspect = True

    async def close(self) -> None:
        """End the connection, and the program where it is one."""
        async with self._lock:
            await self._end()

    def broke_off(self, why: str = "") -> ToolRetry:
        """What a call ends with whose server went away."""
        said = self.aside.words() or why
        return ToolRetry(
            f"the MCP server {self.name} broke off the call" + (f": {said}" if said else ""),
            "it is started anew at the next call",
        )

    def unreachable(self, why: str) -> ToolFailed:
        """What is said of a server that cannot be asked."""
        said = self.aside.words()
        return ToolFailed(
            f"the MCP server {self.name} cannot be asked: {why}"
            + (f"; it said: {said}" if said else ""),
            "start it by hand to see what is wrong",
        )

    async def _look(self) -> None:
        if self._ready is None or not self._ready.done() or self.gone():
            return
        client = self._ready.result()
        if isinstance(client, ToolFailed):
            return
        try:
            async with asyncio.timeout(LOOK_S):
                # No ping: the protocol of 2026 has none.
                await client.list_tools()
        except Exception:
            # Whatever it is: what does not answer is started anew.
            await self._end()

    def _begin(self) -> None:
        self.aside.forget()
        self.starts += 1
        self._stop = asyncio.Event()
        self._ready = asyncio.get_running_loop().create_future()
        # A task of its own: the library's contexts must be left where they were entered.
        self._running = asyncio.create_task(self._run(self._ready, self._stop))

    async def _run(self, ready: "asyncio.Future[Client | ToolFailed]", stop: asyncio.Event) -> None:
        from mcp import Client

        most = self.connection.start_timeout_s
        try:
            async with contextlib.AsyncExitStack() as stack:
                async with asyncio.timeout(most):
                    client = await stack.enter_async_context(Client(self._made(), cache=None))
                ready.set_result(client)
                await stop.wait()
        except asyncio.CancelledError:
            self._failed(ready, "it was stopped")
            raise
        except TimeoutError:
            self._failed(ready, f"it has not answered within {most:g} s")
        except Exception as error:
            self._failed(ready, words_of(error))

    def _made(self) -> "AbstractAsyncContextManager[TransportStreams]":
        c = self.connection
        if c.url:
            return address(c.url, c.headers, c.start_timeout_s, c.max_message_bytes, self.aside)
        return program(c.command, c.env, c.folder, c.max_message_bytes, self.aside)

    def _failed(self, ready: "asyncio.Future[Client | ToolFailed]", why: str) -> None:
        # Of a connection that was up, the call that is under way learns by itself.
        if not ready.done():
            failed = self.unreachable(why)
            self._why = failed.message
            self._rests_until = asyncio.get_running_loop().time() + self._rest_s
            ready.set_result(failed)

    async def _end(self) -> None:
        running, self._running, self._ready = self._running, None, None
        if running is None:
            return
        self._stop.set()
        done, _ = await asyncio.wait([running], timeout=END_S)
        if not done:
            running.cancel()
            await asyncio.wait([running])


def words_of(error: BaseException) -> str:
    """What an error says; of a group the first in it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
