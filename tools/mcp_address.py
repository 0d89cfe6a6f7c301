"""An MCP server that runs already and is spoken to over streamable HTTP.

A transport of the `mcp` library, which speaks the protocol; the library's own reads answers of any
length. Called by tools.mcp.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tools.mcp_listing import Aside, cleaned

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams


@asynccontextmanager
async def address(
    url: str, headers: Mapping[str, str], timeout_s: float, max_bytes: int, aside: Aside
) -> "AsyncGenerator[TransportStreams, None]":
    """A server that runs already, at the address that a person gave, wherever it is: the library
    follows no redirect to another one. No proxy of the environment reads along."""
    import anyio
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    class Bounded(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            answer = await super().handle_async_request(request)
            packed = answer.headers.get("content-encoding", "identity")
            if packed != "identity":
                await answer.aclose()
                raise httpx2.DecodingError(f"packed as {packed[:40]}, which was not asked for")
            # Events have a bound of their own, and a stream of them has no end.
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                answer.stream = _Counted(answer.stream, max_bytes, aside)
            return answer

    class _Counted(httpx2.AsyncByteStream):
        def __init__(self, inner: Any, left: int, aside: Aside) -> None:
            self._inner, self._left, self._aside = inner, left, aside

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for piece in self._inner:
                self._left -= len(piece)
                if self._left < 0:
                    self._aside.broke = f"it sent an answer of more than {max_bytes} bytes"
                    raise httpx2.ReadError(self._aside.broke)
                yield piece

        async def aclose(self) -> None:
            await self._inner.aclose()

    sent_along = {**headers, "Accept-Encoding": "identity"}
    async with (
        httpx2.AsyncClient(
            transport=Bounded(trust_env=False), trust_env=False, timeout=timeout_s,
            headers=sent_along,
        ) as client,
        streamable_http_client(
            url, http_client=client, max_sse_event_size=max_bytes
        ) as (inner, sent),
        anyio.create_task_group() as group,
    ):  # fmt: skip
        to_us, received = anyio.create_memory_object_stream[Any](0)
        group.start_soon(_pass_on, inner, to_us, aside)
        try:
            yield received, sent
        finally:
            group.cancel_scope.cancel()
            to_us.close()
            received.close()


async def _pass_on(inner: Any, to_us: Any, aside: Aside) -> None:
    import anyio
    from mcp.shared.message import SessionMessage

    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError), to_us:
        async for item in inner:
            if isinstance(item, SessionMessage):
                item.message = cleaned(item.message, aside)
            await to_us.send(item)
