"""A visitor of the pages without a browser: keeps cookies, reads the form token, follows lines."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

BASE = "http://127.0.0.1:8321"


class Visitor:
    """One browser's worth of cookies over an application."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.token = ""

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """A page; its token is that of the next form."""
        reply = await self.client.get(path, headers=headers)
        if found := re.search(r'data-csrf="([^"]*)"', reply.text):
            self.token = found[1] or self.token
        return reply

    async def submit(self, path: str, **fields: str) -> httpx.Response:
        """A form of ours, as a browser sends it from the page at `path`'s root."""
        if not self.token:
            await self.get("/")
        data = {"csrf": self.token} | fields
        return await self.client.post(path, data=data, headers={"Origin": BASE, "Referer": BASE})

    async def ask(self, path: str, **body: Any) -> list[dict[str, Any]]:
        """The lines of a run."""
        if not self.token:
            await self.get("/")
        headers = {"X-CSRF": self.token, "Accept": "application/x-ndjson"}
        reply = await self.client.post(path, json=body, headers=headers)
        assert reply.status_code == 200, reply.text
        return [json.loads(line) for line in reply.text.splitlines()]

    async def log_in(self, key: str, next: str = "/") -> httpx.Response:
        """Type a key."""
        page = await self.client.get("/login")
        found = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert found
        return await self.client.post("/login", data={"csrf": found[1], "key": key, "next": next})


@asynccontextmanager
async def another(client: httpx.AsyncClient, address: str = "127.0.0.1") -> AsyncIterator[Visitor]:
    """A second browser on the application of `client`, calling from `address`."""
    inner: Any = client._transport
    transport = httpx.ASGITransport(inner.app, client=(address, 50001))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as fresh:
        yield Visitor(fresh)
