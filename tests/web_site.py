"""A web site for tests, on real sockets: pages with validators, feeds, sitemaps, and traps.

It listens on one loopback address that stands for the public web, and counts what it is asked and
what bodies it sends. `Inside` listens on others, which nothing may reach, and counts who came.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, cast

import httpcore

PUBLIC = "127.0.0.1"
"""The address that the fetcher is allowed to reach."""
INSIDE = ("127.0.0.2", "127.8.9.10", "::1")
"""Addresses of this machine that it is not."""

Send = Callable[[bytes], Awaitable[None]]
Trap = Callable[[Send, dict[str, str]], Awaitable[None]]


@dataclass
class Reply:
    """What lies at a path."""

    body: bytes = b""
    kind: str = "text/html; charset=utf-8"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    validated: bool = True
    """Whether it has an ETag, and is answered with 304 to who has it."""


@dataclass
class Site:
    """The pages by path, and what came of them."""

    pages: dict[str, Reply | Trap] = field(default_factory=dict)
    port: int = 0
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    body_bytes: int = 0
    name: str = "site.test"

    def url(self, path: str = "/", name: str = "") -> str:
        """An address of the site, by its name or another one."""
        return f"http://{name or self.name}:{self.port}{path}"

    def put(self, path: str, text: str, kind: str = "text/html; charset=utf-8") -> None:
        """Let a text lie at a path."""
        self.pages[path] = Reply(text.encode(), kind)

    def redirect(self, path: str, to: str, status: int = 302) -> None:
        """Let a path lead elsewhere."""
        self.pages[path] = Reply(status=status, headers={"Location": to}, validated=False)

    def forget(self) -> None:
        """Begin to count anew."""
        self.asked.clear()
        self.headers.clear()
        self.statuses.clear()
        self.body_bytes = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it is closed."""

        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        try:
            while head := await _head(reader):
                target, headers = head
                self.asked.append(target)
                self.headers.append(headers)
                found = self.pages.get(target.partition("?")[0], Reply(status=404))
                if not isinstance(found, Reply):
                    await found(send, headers)
                    break
                await self._answer(found, headers, send)
        except (ConnectionError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # the fetcher hung up, which is what traps are for, or the test has ended
        finally:
            writer.close()

    async def _answer(self, reply: Reply, asked: dict[str, str], send: Send) -> None:
        tag = f'"{sha256(reply.body).hexdigest()[:16]}"'
        headers = {"Content-Type": reply.kind, **reply.headers}
        status, body = reply.status, reply.body
        if reply.validated and status == 200:
            headers["ETag"] = tag
            if asked.get("if-none-match") == tag:
                status, body = 304, b""
        if status != 304:
            headers["Content-Length"] = str(len(body))
        self.statuses[status] += 1
        self.body_bytes += len(body)
        lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in headers.items())]
        await send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)


async def _head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
    line = (await reader.readline()).decode("latin-1").split()
    if len(line) < 2:
        return None
    headers: dict[str, str] = {}
    while entry := (await reader.readline()).decode("latin-1").strip():
        name, _, value = entry.partition(":")
        headers[name.lower()] = value.strip()
    return line[1], headers


@asynccontextmanager
async def served(site: Site, tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    """The site, listening until the end."""
    server = await asyncio.start_server(site.serve, PUBLIC, 0, ssl=tls)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()


@dataclass
class Inside:
    """Servers that nothing may reach, on the port of a site."""

    reached: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator["Inside"]:
        """They listen until the end."""
        servers = []
        for address in INSIDE:

            def note(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str = address
            ) -> None:
                self.reached.append(address)
                writer.close()

            servers.append(await asyncio.start_server(note, address, port))
        try:
            yield self
        finally:
            for server in servers:
                server.close()


class Recording(httpcore.AsyncNetworkBackend):
    """Real sockets that note where they were connected to and how much was read from them."""

    def __init__(self) -> None:
        self.connected: list[str] = []
        self.read = 0
        self._real = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(self, host: str, port: int, *rest: Any, **more: Any) -> "_Counted":
        """As the real one."""
        self.connected.append(host)
        return _Counted(self, await self._real.connect_tcp(host, port, *rest, **more))


class _Counted(httpcore.AsyncNetworkStream):
    def __init__(self, record: Recording, real: httpcore.AsyncNetworkStream) -> None:
        self._record = record
        self._real = real

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._real.read(max_bytes, timeout)
        self._record.read += len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._real.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._real.aclose()

    async def start_tls(self, *rest: Any, **more: Any) -> "_Counted":
        return _Counted(self._record, await self._real.start_tls(*rest, **more))

    def get_extra_info(self, info: str) -> Any:
        return self._real.get_extra_info(info)


class Names:
    """A DNS whose answers a test writes down; a name with several takes the next at each look-up,
    and stays at the last."""

    def __init__(self, **names: Sequence[Sequence[str]]) -> None:
        self.answers: dict[str, list[Sequence[str]]] = {n: list(a) for n, a in names.items()}
        self.asked: Counter[str] = Counter()

    async def __call__(self, name: str, port: int) -> Sequence[str]:
        """The addresses of a name now. Every name that is not written down is the site's."""
        self.asked[name] += 1
        turns = self.answers.get(name, [[PUBLIC]])
        return turns.pop(0) if len(turns) > 1 else turns[0]


def page(title: str, body: str, links: Sequence[str] = ()) -> str:
    """HTML with enough text to be an article, and links."""
    anchors = "".join(f'<li><a href="{link}">{link}</a></li>' for link in links)
    return (
        f"<html><head><title>{title}</title></head><body><nav><ul>{anchors}</ul></nav>"
        f"<article><h1>{title}</h1><p>{body}</p></article></body></html>"
    )


def sitemap(addresses: Sequence[str], kind: str = "urlset") -> str:
    """A sitemap, or with kind `sitemapindex` an index of them."""
    inner = "url" if kind == "urlset" else "sitemap"
    entries = "".join(f"<{inner}><loc>{address}</loc></{inner}>" for address in addresses)
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    return f'<?xml version="1.0" encoding="UTF-8"?><{kind} xmlns="{space}">{entries}</{kind}>'
