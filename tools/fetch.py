"""Fetches what lies at a URL, whoever wrote that URL: a person, a feed, a sitemap, a redirect.

Only http and https, only to public addresses (or those that the settings allow), within bounds on
size, time, redirects and headers. It knows no proxy, cookie, password or cache, and obeys no
robots.txt: that is adapt.gather.web. Called by it, by those who need one file, and by tools that
ask a server for more than a page.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_network
from types import TracebackType
from typing import Protocol, Self

import httpcore
import httpx

from store.errors import FetchFailed, FetchRefused
from tools.fetch_address import parse_url, port_of
from tools.fetch_answer import Asked, Fetched, headers_of
from tools.fetch_body import Unpacker
from tools.fetch_connect import BUDGET, Budget, GuardedBackend, Resolver, system_resolver

HEAD_BYTES = 64 << 10
"""Most of an answer's status line and headers, and of the frames around its body."""
ANYTHING = "*/*"
_REDIRECTS = {301, 302, 303, 307, 308}
_SMALL = 16 << 10
"""Bodies of redirects and errors up to here are read, so that the connection can be used again."""

Before = Callable[[httpx.URL], Awaitable[None]]
"""Called ahead of every request, redirects included; it may wait, and raises to forbid it."""


class Limits(Protocol):
    """What a fetcher is told; agent.config.FetchSettings says what each is."""

    @property
    def allow(self) -> Sequence[str]: ...
    @property
    def timeout_s(self) -> float: ...
    @property
    def max_bytes(self) -> int: ...
    @property
    def max_redirects(self) -> int: ...
    @property
    def agent(self) -> str: ...


class Fetcher:
    """Keeps connections open between fetches; an async context manager closes them."""

    def __init__(
        self,
        limits: Limits,
        *,
        resolver: Resolver = system_resolver,
        network: httpcore.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`resolver`, `network` and `tls` stand for DNS, sockets and trusted authorities."""
        self._limits = limits
        guard = GuardedBackend([ip_network(n) for n in limits.allow], resolver, network)
        # httpcore itself and not httpx's client, which reads proxies and passwords from the
        # environment, unpacks without a bound and follows redirects by itself.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or httpx.create_ssl_context(),
            max_connections=8,
            keepalive_expiry=15.0,
            network_backend=guard,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._pool.aclose()

    async def fetch(
        self,
        url: str,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
        accept: str = ANYTHING,
        before: Before | None = None,
    ) -> Fetched:
        """What a URL gives. Errors of the server (400 and above) and 304 are answers.

        Raises FetchRefused for what may not be fetched or is over a bound, and FetchFailed when
        the server is away, too slow or breaks the protocol. The time that `before` takes does not
        count.
        """
        target = parse_url(url)
        headers = {"If-None-Match": etag or "", "If-Modified-Since": last_modified or ""}
        headers["Accept"] = accept
        left_s = self._limits.timeout_s
        read = 0
        for _ in range(self._limits.max_redirects + 1):
            if before is not None:
                await before(target)
            started = time.monotonic()
            answer = await self._timed(target, Asked(headers=headers), left_s)
            left_s -= time.monotonic() - started
            read += answer.bytes_read
            place = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not place:
                return Fetched(answer.url, answer.status, answer.headers, answer.body, read)
            following = _redirected(target, place)
            if _origin(following) != _origin(target):
                # What one server said of its page would tell another who was there before.
                headers = {"Accept": accept}
            target = following
        raise FetchRefused(
            f"{url} is redirected more than {self._limits.max_redirects} times",
            "raise fetch.max_redirects to follow it further",
        )

    async def send(self, url: str, asked: Asked) -> Fetched:
        """One request of any method, as it is given. What the server says is the answer: redirects
        are not followed, since what is sent is meant for one server. Raises as `fetch`."""
        return await self._timed(parse_url(url), asked, self._limits.timeout_s)

    async def _timed(self, url: httpx.URL, asked: Asked, left_s: float) -> Fetched:
        try:
            async with asyncio.timeout(max(left_s, 0.0)):
                return await self._one(url, asked)
        except TimeoutError as error:
            raise FetchFailed(
                f"{url} takes longer than {self._limits.timeout_s:g} s",
                "raise fetch.timeout_s if it is slow by nature",
            ) from error
        except FetchRefused as error:
            raise FetchRefused(f"{url}: {error.message}", error.hint) from error
        except (httpcore.TimeoutException, httpcore.NetworkError) as error:
            raise FetchFailed(f"{url} does not answer: {error or type(error).__name__}") from error
        except httpcore.ProtocolError as error:
            raise FetchFailed(f"{url} does not speak HTTP: {error}") from error

    async def _one(self, url: httpx.URL, asked: Asked) -> Fetched:
        """One request and its answer, from the network."""
        budget = Budget(HEAD_BYTES, f"its headers are more than {HEAD_BYTES} bytes")
        token = BUDGET.set(budget)
        try:
            answer = await self._pool.handle_async_request(self._request(url, asked))
            try:
                return await self._read(url, answer, budget, whole=asked.whole)
            finally:
                await answer.aclose()
        finally:
            BUDGET.reset(token)

    def _request(self, url: httpx.URL, asked: Asked) -> httpcore.Request:
        host = url.netloc.decode()
        sent = {"Host": host, "User-Agent": self._limits.agent, "Accept-Encoding": "gzip, deflate"}
        sent |= {name: value for name, value in asked.headers.items() if value}
        if asked.body or asked.method not in ("GET", "HEAD"):
            sent["Content-Length"] = str(len(asked.body))
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=port_of(url), target=url.raw_path
        )
        # Latin-1, as headers come: a server's own ETag goes back byte by byte.
        raw = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
        return httpcore.Request(asked.method, target, headers=raw, content=asked.body or None)

    async def _read(
        self, url: httpx.URL, answer: httpcore.Response, budget: Budget, *, whole: bool
    ) -> Fetched:
        headers = headers_of(answer)
        limit = self._limits.max_bytes
        good = 200 <= answer.status < 300 or (whole and answer.status != 304)
        # With 304 it is the size of what is not sent.
        size = "0" if answer.status == 304 else headers.get("content-length", "")
        stated = int(size) if size.isascii() and size.isdigit() else None
        if good and stated is not None and stated > limit:
            raise FetchRefused(
                f"it is {stated} bytes, over the limit of {limit}",
                "raise fetch.max_bytes to take it",
            )
        if not good and (stated is None or stated > _SMALL):
            return Fetched(str(url), answer.status, headers, b"", 0)
        budget.left += limit
        budget.words = f"it is more than {limit} bytes"
        unpacker = Unpacker(headers.get("content-encoding", "") if good else "", limit)
        read = 0
        async for piece in answer.aiter_stream():
            read += len(piece)
            # Packed, it may be over the limit although it unpacks to nothing.
            if read > limit:
                raise FetchRefused(budget.words, "raise fetch.max_bytes to take it")
            unpacker.feed(piece)
        body = unpacker.end()
        return Fetched(str(url), answer.status, headers, body if good else b"", read)


def _redirected(url: httpx.URL, place: str) -> httpx.URL:
    """Where a redirect leads. FetchRefused when it may not be followed."""
    try:
        place = place.encode("latin-1").decode("utf-8").strip()
        following = parse_url(str(url.join(place)))
    except FetchRefused as error:
        raise FetchRefused(f"{url} is redirected: {error.message}", error.hint) from error
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchRefused(f"{url} is redirected to what is no URL: {place[:200]!r}") from error
    if url.scheme == "https" and following.scheme == "http":
        raise FetchRefused(f"{url} is redirected to {following}, which anyone could alter")
    return following


def _origin(url: httpx.URL) -> tuple[str, bytes, int]:
    return url.scheme, url.raw_host, port_of(url)
