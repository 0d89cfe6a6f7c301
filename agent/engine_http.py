"""The HTTP side of an engine: connections, server-sent events, and foreign errors made ours.

What does not answer is EngineUnavailable, what answers with an error is EngineRefused. It knows no
request but the health check; `agent.engine` says what is asked.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx

from agent.engine_errors import code_of, own_refusal, reading
from agent.engine_remote import Remote
from agent.engine_wire import error_words, read_json
from store.errors import EngineError, EngineRefused, EngineTimeout, EngineUnavailable

Chunk = dict[str, Any]

KEPT = 16
"""Unused connections that are kept. The client looks at each of them at every request: 64 cost
eight times as much of the processor as none, and a third of the engine's throughput is left."""
IDLE_S = 5.0
"""How long an unused connection is kept. The engine keeps it far longer (agent.serve_command): were
both to let go at once, a request on it would be lost."""
END_S = 1.0
"""How long the end of a stream is waited for after its last event."""


class Connection:
    """One server of OpenAI's protocol. All methods raise EngineUnavailable and EngineRefused."""

    def __init__(
        self,
        socket: Path,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = 120.0,
        remote: Remote | None = None,
    ) -> None:
        """Speak over the Unix `socket`, or over `transport` (see `agent.fake_engine`) instead; to
        a `remote` endpoint see `at`."""
        self.socket = socket
        self._remote = remote
        # The pool must not be the bottleneck: the engine itself queues what it cannot run.
        limits = httpx.Limits(
            max_connections=None, max_keepalive_connections=KEPT, keepalive_expiry=IDLE_S
        )
        if remote is None and transport is None:
            transport = httpx.AsyncHTTPTransport(uds=str(socket), limits=limits)
        self._http = httpx.AsyncClient(
            transport=transport,
            limits=limits,
            base_url=remote.url if remote else "http://engine",
            headers=remote.headers if remote else None,
            # Of an environment only the proxies are meant, and never for what is on this machine.
            trust_env=remote is not None and not remote.on_this_machine,
            timeout=timeout_s,
        )

    @property
    def place(self) -> str:
        """Where the engine is, for people."""
        return self._remote.url if self._remote else str(self.socket)

    async def health(self) -> bool:
        """Whether the engine answers and says it is well. Never raises."""
        try:
            return (await self._http.get("/health", timeout=5.0)).status_code == 200
        except httpx.HTTPError:
            return False

    async def close(self) -> None:
        """Drop the connections. The engine goes on."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _get(self, path: str) -> str:
        with self._mapped(path):
            response = await self._http.get(self._below(path))
        if response.status_code >= 300:
            raise self._refusal(path, response.status_code, response.content)
        return response.text

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        """POST JSON; gives the JSON answer, or the text where the engine answers in plain words."""
        with self._mapped(path):
            response = await self._http.post(self._below(path), json=body)
        if response.status_code >= 300:
            raise self._refusal(path, response.status_code, response.content)
        try:
            return read_json(response.content)
        except ValueError:
            return response.text

    def _below(self, path: str) -> str:
        return self._remote.path(path) if self._remote else path

    async def _events(self, path: str, body: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
        """POST and give the JSON of each server-sent event up to `[DONE]`."""
        with self._mapped(path):
            async with self._http.stream("POST", self._below(path), json=body) as response:
                if response.status_code >= 300:
                    raise self._refusal(path, response.status_code, await response.aread())
                lines = response.aiter_lines()
                async for line in lines:
                    if not line.startswith("data:"):
                        continue
                    data = line.removeprefix("data:").strip()
                    if data == "[DONE]":
                        await _drained(lines)
                        return
                    with reading(path):
                        chunk: Chunk = read_json(data.encode())
                    if "error" in chunk:
                        # A failure after the first token comes inside the stream, under a 200.
                        raise self._refusal(path, code_of(chunk), data.encode())
                    yield chunk
        raise EngineUnavailable(
            f"the engine cut its answer to {path} short", "ask again; see the engine's log"
        )

    @contextmanager
    def _mapped(self, path: str) -> Iterator[None]:
        """Turn httpx's errors into ours, here and nowhere else."""
        try:
            yield
        except httpx.TimeoutException as error:
            raise EngineTimeout(
                f"the engine did not answer {path} within {self._http.timeout.read:g} s",
                "raise engine.request_timeout_s, or ask for fewer tokens",
            ) from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            why = str(error) or type(error).__name__
            if self._remote:
                why, hint = self._remote.hidden(why), "is the URL right, and its server running?"
            else:
                hint = "is it running? `perennial doctor` tells"
            raise EngineUnavailable(
                f"the engine at {self.place} does not answer {path}: {why}", hint
            ) from error

    def _refusal(self, path: str, status: int, body: bytes) -> EngineError:
        """The engine's own words with a way out."""
        words = error_words(body)
        if self._remote is None or self._remote.ours:
            return own_refusal(path, status, words)
        said = self._remote.hidden(words) or "no words"
        return EngineRefused(
            f"{self.place} refused {self._below(path)} ({status}): {said}",
            self._remote.hint(status), status,
        )  # fmt: skip


async def _drained(lines: AsyncIterator[str]) -> None:
    """Read a body to its end: a connection that is left before that cannot be used again."""
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(END_S):
            async for _ in lines:
                pass
