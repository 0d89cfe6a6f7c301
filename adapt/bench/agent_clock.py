"""A clock in front of the engine: when each request was sent, and when its last byte was there.

It is a transport of an HTTP client, so that agents of other libraries are timed in the same place
as ours. What a run takes beside these spans is the agent's own. Measures nothing else. Used by
adapt.bench.agent_sides.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Span:
    """One request, in seconds of CLOCK_MONOTONIC."""

    body: bytes
    begin: float
    end: float = 0.0


class Clock:
    """A transport over the engine's Unix socket with the spans of its requests, for clients of
    `library`: httpx, or httpx2, whose classes are others."""

    def __init__(self, library: Any, socket: Path) -> None:
        self._spans: list[Span] = []
        self.transport = _transport(library, socket, self._spans)

    def take(self) -> list[Span]:
        """The spans since the last call."""
        taken = self._spans[:]
        self._spans.clear()
        return taken


def _transport(library: Any, socket: Path, spans: list[Span]) -> Any:
    class Timed(library.AsyncByteStream):
        """A body that notes its end."""

        def __init__(self, inner: Any, span: Span) -> None:
            self._inner, self._span = inner, span

        async def __aiter__(self) -> Any:
            async for part in self._inner:
                # Every part, since a client may leave after the last event and before the end.
                self._span.end = time.monotonic()
                yield part

        async def aclose(self) -> None:
            await self._inner.aclose()

    class Clocked(library.AsyncBaseTransport):
        """Requests in order, one at a time or many at once."""

        def __init__(self) -> None:
            # As many connections as agent.engine_http keeps: each is looked at in every request.
            limits = library.Limits(max_connections=None, max_keepalive_connections=16)
            self._inner = library.AsyncHTTPTransport(uds=str(socket), limits=limits)

        async def handle_async_request(self, request: Any) -> Any:
            span = Span(await request.aread(), time.monotonic())
            spans.append(span)
            response = await self._inner.handle_async_request(request)
            span.end = time.monotonic()
            response.stream = Timed(response.stream, span)
            return response

        async def aclose(self) -> None:
            await self._inner.aclose()

    return Clocked()
