"""Connects a fetch to the address that was checked, and counts what comes in.

The name is looked up once, in the connection itself: whoever asks for a connection, a redirect, a
sitemap's entry or robots.txt, gets one to an address that was judged or none. TLS still verifies
the name. Knows no HTTP. Called by tools.fetch.
"""

import asyncio
import contextvars
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, cast

import httpcore

from store.errors import FetchFailed, FetchRefused
from tools.fetch_address import Address, Network, why_forbidden

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Name and port to the addresses that the name has now. OSError when it has none."""

CONNECT_S = 5.0
"""How long one address of a name may take before the next one is tried, in seconds."""


@dataclass
class Budget:
    """How many bytes may still be read from the network, and what is said when they are not
    enough."""

    left: int
    words: str

    def take(self, count: int) -> None:
        """Count bytes that came in. FetchRefused when they are too many."""
        self.left -= count
        if self.left < 0:
            raise FetchRefused(self.words)


BUDGET: contextvars.ContextVar[Budget] = contextvars.ContextVar("budget")
"""Of the fetch that the present task is at: its connection outlives it and serves others."""


async def system_resolver(name: str, port: int) -> Sequence[str]:
    """Addresses by the machine's own means (hosts file, DNS), in the order it prefers."""
    found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections to addresses that may be fetched from, through another backend."""

    def __init__(
        self,
        allow: Iterable[Network],
        resolver: Resolver = system_resolver,
        inner: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._allow = tuple(allow)
        self._resolve = resolver
        self._inner = inner or cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address of the host that may be reached and answers.

        FetchRefused when all are forbidden, FetchFailed when there are none or none answers.
        """
        failed = ""
        for address in await self._addresses(host, port):
            try:
                stream = await self._inner.connect_tcp(
                    str(address), port, CONNECT_S, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = f"{address}: {error or 'no answer'}"
                continue
            return _Counted(stream)
        raise FetchFailed(f"{host} cannot be connected to ({failed})")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """FetchRefused: a file of this machine is not a host."""
        raise FetchRefused(f"the socket {path} is not fetched from")

    async def sleep(self, seconds: float) -> None:
        """As the inner backend."""
        await self._inner.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> Sequence[Address]:
        try:
            found = [ip_address(text) for text in await self._texts(host, port)]
        except (OSError, UnicodeError) as error:
            raise FetchFailed(f"{host} has no address: {error}", "check the name") from error
        kinds = {address: why_forbidden(address, self._allow) for address in found}
        allowed = [address for address in found if kinds[address] is None]
        if not found:
            raise FetchFailed(f"{host} has no address", "check the name")
        if not allowed:
            words = ", ".join(f"{address} is {kind}" for address, kind in kinds.items())
            raise FetchRefused(
                f"{host} is not fetched from: {words}",
                "name its network in fetch.allow if it is yours",
            )
        return allowed

    async def _texts(self, host: str, port: int) -> Sequence[str]:
        try:
            return [str(ip_address(host))]
        except ValueError:
            return await self._resolve(host, port)


class _Counted(httpcore.AsyncNetworkStream):
    """A connection whose bytes are counted against the fetch that reads them."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        budget = BUDGET.get()
        # One more than there is room for, so that what is exactly full is told from what is over.
        data = await self._inner.read(min(max_bytes, budget.left + 1), timeout)
        budget.take(len(data))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Counted(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
