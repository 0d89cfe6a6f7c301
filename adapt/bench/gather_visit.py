"""What a visit costs where nothing changed: 1,000 addresses of a sitemap, asked on condition.

A server on this machine gives pages with ETags and counts the bodies that it sends. The first visit
downloads them all, the second one is answered with 304. Part of `perennial bench gather`.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from hashlib import sha256
from typing import Any, cast

from adapt.gather.pages import Pages
from adapt.gather.protocol import Draft, Seen, Unchanged, Unusable
from agent.config import FetchSettings
from store.records import utc_now
from store.source_records import Place, PlaceState, Source

ADDRESSES = 1000
_WORDS = "Every page of this site says something of its own, and says it in a few sentences. "

Progress = Callable[[str], None]


def run_visit(progress: Progress, addresses: int = ADDRESSES) -> dict[str, Any]:
    """Bodies, their bytes and seconds of a first visit and of one at which nothing changed."""
    return asyncio.run(_run(progress, addresses))


async def _run(progress: Progress, addresses: int) -> dict[str, Any]:
    server = _Server(addresses)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listening:
        server.port = listening.sockets[0].getsockname()[1]
        progress(f"a first visit to {addresses} addresses")
        first, places = await _visit(server, {})
        progress(f"a second visit to {addresses} addresses")
        second, _ = await _visit(server, places)
    return {
        "addresses": addresses,
        "first_visit": first,
        "no_change_visit": second,
        "downloads_no_bodies": second["bodies"] == 0 and second["unchanged"] == addresses,
    }


async def _visit(
    server: "_Server", known: Mapping[str, Place]
) -> tuple[dict[str, Any], dict[str, Place]]:
    """One visit, and the places that it leaves."""
    settings = FetchSettings(allow=("127.0.0.1/32",), pace_s=0.0)
    location = f"http://127.0.0.1:{server.port}/sitemap.xml"
    source = Source(name="bench", kind="pages", location=location, added_at=utc_now())
    server.requests = server.bodies = server.body_bytes = 0
    began, places, counts = time.perf_counter(), dict(known), dict.fromkeys(_NAMES.values(), 0)
    visit = Pages(settings).visit(source, known)
    async with aclosing(cast("Any", visit)) as seen:
        async for one in seen:
            counts[_NAMES.get(type(one), "other")] += 1
            places[one.address] = _place(one, places.get(one.address))
    return {
        **counts,
        "requests": server.requests,
        "bodies": server.bodies,
        "body_bytes": server.body_bytes,
        "seconds": round(time.perf_counter() - began, 2),
    }, places


_NAMES: dict[type, str] = {Draft: "read", Unchanged: "unchanged", Unusable: "unusable"}


def _place(one: Seen, before: Place | None) -> Place:
    stamp = getattr(one, "stamp", None)
    if stamp is None:
        stamp = before.stamp if before is not None else ""
    state = PlaceState.REFUSED if isinstance(one, Unusable) else PlaceState.PRESENT
    return Place(
        source="bench", address=one.address, state=state, stamp=stamp,
        first_seen_at=utc_now(), seen_at=utc_now(),
    )  # fmt: skip


class _Server:
    """Pages, their sitemap, and what was sent of them."""

    def __init__(self, addresses: int) -> None:
        self.port = 0
        self.requests = self.bodies = self.body_bytes = 0
        self._addresses = addresses

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it is closed."""
        try:
            while line := await reader.readline():
                tag = ""
                while (entry := await reader.readline()).strip():
                    name, _, value = entry.decode("latin-1").partition(":")
                    if name.lower() == "if-none-match":
                        tag = value.strip()
                self.requests += 1
                writer.write(self._answer(line.decode("latin-1").split()[1], tag))
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the visit is over
        finally:
            writer.close()

    def _answer(self, path: str, tag: str) -> bytes:
        kind, body = "text/html; charset=utf-8", self._page(path)
        if path == "/sitemap.xml":
            kind, body = "application/xml", self._sitemap()
        if body is None:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        own = f'"{sha256(body).hexdigest()[:16]}"'
        if tag == own:
            return f"HTTP/1.1 304 Not Modified\r\nETag: {own}\r\n\r\n".encode()
        self.bodies += 1
        self.body_bytes += len(body)
        head = f"HTTP/1.1 200 OK\r\nETag: {own}\r\nContent-Type: {kind}\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def _page(self, path: str) -> bytes | None:
        number = path.removeprefix("/page/")
        if not number.isdigit():
            return None
        text = f"<p>{_WORDS}This one is number {number}, as its address says.</p>" * 6
        return (
            f"<html><head><title>Page {number}</title></head><body><article>"
            f"<h1>Page {number}</h1>{text}</article></body></html>"
        ).encode()

    def _sitemap(self) -> bytes:
        place = f"http://127.0.0.1:{self.port}/page/"
        entries = "".join(f"<url><loc>{place}{n}</loc></url>" for n in range(self._addresses))
        space = "http://www.sitemaps.org/schemas/sitemap/0.9"
        return f'<urlset xmlns="{space}">{entries}</urlset>'.encode()
