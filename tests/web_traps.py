"""Answers that are made to hold, fill or drown who asks for them. They lie at paths of web_site."""

import asyncio
import gzip

from web_site import Reply, Send


async def drip(send: Send, headers: dict[str, str]) -> None:
    """A byte at a time, each just before one would give up."""
    await send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(2000):
        await send(b"x")
        await asyncio.sleep(0.05)


async def slow_head(send: Send, headers: dict[str, str]) -> None:
    """Headers that never end, slowly."""
    await send(b"HTTP/1.1 200 OK\r\n")
    for number in range(2000):
        await send(f"X-{number}: y\r\n".encode())
        await asyncio.sleep(0.05)


async def silence(send: Send, headers: dict[str, str]) -> None:
    """Nothing at all."""
    await asyncio.sleep(100)


async def endless(send: Send, headers: dict[str, str]) -> None:
    """A body that does not end, in chunks, of no stated size."""
    await send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


async def tiny_chunks(send: Send, headers: dict[str, str]) -> None:
    """A body of little, in chunks whose frames are far more than it."""
    await send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await send((b"1;" + b"e" * 1000 + b"\r\nx\r\n") * 64)


async def giant_headers(send: Send, headers: dict[str, str]) -> None:
    """More headers than any server means."""
    await send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await send(b"X-Trap: " + b"y" * 1000 + b"\r\n")


async def giant_header(send: Send, headers: dict[str, str]) -> None:
    """One header that does not end."""
    await send(b"HTTP/1.1 200 OK\r\nX-Trap: ")
    while True:
        await send(b"y" * 10000)


async def interim(send: Send, headers: dict[str, str]) -> None:
    """Interim answers without end, and never the answer."""
    while True:
        await send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100)


async def lying_length(send: Send, headers: dict[str, str]) -> None:
    """A stated size far over the bound, of which one byte comes."""
    await send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx")


def bomb(layers: int = 1, size: int = 200 << 20) -> Reply:
    """A gzip body that unpacks to `size` bytes, within other ones for more layers."""
    data = b"\0" * size
    for _ in range(layers):
        data = gzip.compress(data, 9, mtime=0)
    headers = {"Content-Encoding": "gzip"}
    return Reply(data, headers=headers, validated=False)
