"""The server's sockets."""

import asyncio
import socket
from typing import Any

import pytest

from adapt.serving import bind


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_what_is_written_is_sent_at_once(host: str) -> None:
    """Connections do not wait for the peer's word before they send the next small packet."""
    options: list[int] = []

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            own = transport.get_extra_info("socket")
            options.append(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    async def work() -> None:
        bound = bind(host, 0)
        port = bound.getsockname()[1]
        server = await asyncio.get_running_loop().create_server(Protocol, sock=bound)
        async with server:
            reader, writer = await asyncio.open_connection(host, port)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    asyncio.run(asyncio.wait_for(work(), 30))
    assert options == [1]
