"""The SSRF suite, second part: no answer takes more bytes, memory or time than it may."""

import asyncio
import gzip
import time
import zlib

import pytest
from fetch_lab import LIMIT, LIMITS, lab
from trap_tally import TRAPS
from web_site import Reply, Send, Trap
from web_traps import (
    bomb,
    drip,
    endless,
    giant_header,
    giant_headers,
    interim,
    lying_length,
    silence,
    slow_head,
    tiny_chunks,
)

from store.errors import DocumentError
from tools.fetch import HEAD_BYTES

BOUNDS: dict[str, Trap | Reply] = {
    "a slow drip": drip,
    "headers that drip": slow_head,
    "silence": silence,
    "an endless body": endless,
    "chunks of frames": tiny_chunks,
    "headers without end": giant_headers,
    "a header without end": giant_header,
    "interim answers without end": interim,
    "a stated size over the bound": lying_length,
    "a body over the bound": Reply(b"x" * (LIMIT + 1), validated=False),
    "a packed body over the bound": Reply(
        b"x" * (LIMIT + 1), headers={"Content-Encoding": "br"}, validated=False
    ),
    "a decompression bomb": bomb(),
    "a bomb of one more layer": bomb(2, 20 << 20),
    "a bomb of two codings": Reply(
        bomb(2, 20 << 20).body, headers={"Content-Encoding": "gzip, gzip"}, validated=False
    ),
    "a bomb called deflate": Reply(
        zlib.compress(b"\0" * (20 << 20), 9),
        headers={"Content-Encoding": "deflate"},
        validated=False,
    ),
    "a packed body that is cut off": Reply(
        gzip.compress(b"x" * 5000)[:-9],
        headers={"Content-Encoding": "gzip"},
        validated=False,
    ),
}


@pytest.mark.parametrize("kind", BOUNDS)
def test_no_answer_exceeds_a_bound(kind: str) -> None:
    """On bytes from the network, on memory for what is unpacked, and on time."""

    async def run() -> None:
        async with lab() as it:
            it.site.pages["/"] = BOUNDS[kind]
            started = time.monotonic()
            try:
                async with it.fetcher() as fetcher:
                    answer = await fetcher.fetch(it.site.url())
                size = len(answer.body)
            except DocumentError:
                size = -1
            seconds = time.monotonic() - started
            over = ""
            if seconds > LIMITS.timeout_s + 1.0:
                over = f"{seconds:.1f} s"
            # And one byte, which tells that there are more.
            if it.record.read > LIMIT + HEAD_BYTES + 1:
                over = f"{it.record.read} bytes were read"
            if size > LIMIT:
                over = f"{size} bytes were kept"
            TRAPS.trap(kind, reached=it.reached(), over=over)
            # Of two layers only the outer one is undone: small, and nothing but bytes.
            assert size == -1 or kind == "a bomb of one more layer"

    asyncio.run(run())


def test_redirects_end() -> None:
    """In a circle, in ever new addresses, and within the time of one fetch."""

    async def run() -> None:
        async with lab() as it:
            it.site.redirect("/circle", "/circle")
            for number in range(20):
                it.site.redirect(f"/{number}", f"/{number + 1}?{'q' * number}")
            for path in ("/circle", "/0"):
                it.site.forget()
                await it.trap("endless redirects", it.site.url(path))
                over = len(it.site.asked) > LIMITS.max_redirects + 1
                TRAPS.trap("endless redirects", over=f"{it.site.asked}" if over else "")

            async def slow(send: Send, headers: dict[str, str]) -> None:
                await asyncio.sleep(0.25)
                text = "HTTP/1.1 302 x\r\nLocation: /slow\r\nContent-Length: 0\r\n\r\n"
                await send(text.encode())

            it.site.pages["/slow"] = slow
            started = time.monotonic()
            await it.trap("endless redirects", it.site.url("/slow"))
            seconds = time.monotonic() - started
            over = f"{seconds:.1f} s" if seconds > LIMITS.timeout_s + 0.5 else ""
            TRAPS.trap("endless redirects", over=over)

    asyncio.run(run())
