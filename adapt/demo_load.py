"""Clients that keep asking while a version is swapped, and what came of every request."""

import asyncio
import time
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import httpx


@dataclass
class Load:
    """Some clients in a loop over HTTP, until `stop`. Every answer is kept with its version."""

    url: str
    questions: list[str]
    clients: int = 12
    answered: list[tuple[float, str]] = field(default_factory=list)
    """(moment of the answer, version that gave it)."""
    failed: list[str] = field(default_factory=list)
    _running: list[asyncio.Task[None]] = field(default_factory=list)
    _over: bool = False

    def start(self) -> None:
        """Begin asking."""
        if not self._running:
            source = cycle(self.questions)
            self._running = [asyncio.create_task(self._ask(source)) for _ in range(self.clients)]

    async def until(self, requests: int, seconds: float) -> None:
        """Wait until so many requests are answered, at most so long."""
        limit = time.monotonic() + seconds
        while len(self.answered) + len(self.failed) < requests and time.monotonic() < limit:
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Let the requests under way end, then stop."""
        self._over = True
        await asyncio.gather(*self._running)

    async def _ask(self, source: Any) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=60.0) as client:
            while not self._over:
                body = {"model": "live", "messages": [{"role": "user", "content": next(source)}]}
                try:
                    reply = await client.post("/v1/chat/completions", json=body)
                    if reply.is_error or not reply.json()["choices"][0]["message"]["content"]:
                        self.failed.append(f"{body}: {reply.status_code} {reply.text}")
                        continue
                except (httpx.HTTPError, KeyError, ValueError) as error:
                    self.failed.append(f"{body}: {error!r}")
                    continue
                self.answered.append((time.monotonic(), reply.headers["X-Perennial-Version"]))
