"""Talks to the `perennial up` that holds a home, over HTTP. Starts nothing.

`find_running` tells whether there is one. Foreign errors end here. Called by adapt.commands.
"""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from agent.config import Settings, home_of
from agent.state import Token, ToolCalled, ToolReplied
from store.errors import (
    BusyError,
    EngineUnavailable,
    NotFoundError,
    PerennialError,
    StateError,
    UserError,
)

Json = dict[str, Any]
ADMIN_S = 60.0
_ERRORS: dict[int, type[PerennialError]] = {
    400: UserError, 401: UserError, 403: UserError, 404: NotFoundError, 409: StateError,
    503: EngineUnavailable,
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """The end of an answer: which version gave it, in how many model calls, and from which
    documents (`document`, `title`, `address`)."""

    version: str
    steps: int
    episode: str
    sources: tuple[Json, ...] = ()


@dataclass(frozen=True)
class Confirm:
    """In place of the end: the run waits for a person's yes to `calls` (`id`, `name`,
    `arguments`)."""

    calls: tuple[Json, ...]

    @classmethod
    def of(cls, asked: Any) -> "Confirm":
        """What agent.confirming asks. StateError where it is a question of another kind."""
        if not isinstance(asked, dict) or asked.get("type") != "confirm":
            raise StateError(f"the run waits for something else: {asked}", "ask in a new thread")
        return cls(tuple(asked["calls"]))


Piece = Token | ToolCalled | ToolReplied | Confirm | Answer


def find_running(settings: Settings) -> "Running | None":
    """The server of this home; None when nobody holds it.

    BusyError when the holder offers no address: another command, or a server still starting.
    """
    home = home_of(settings)
    pid = home.locked_by()
    if pid is None:
        return None
    status = home.read_status() or {}
    if status.get("pid") != pid or not status.get("url"):
        raise BusyError(
            f"the home {home.path} is in use by process {pid}, which does not serve (yet)",
            "wait until it has started or ended, or choose another --home",
        )
    return Running(status["url"], status.get("key", ""), status.get("engines", []))


class Running:
    """A running server, by its URL. `engines` are its fleet's members, as they tell of
    themselves."""

    def __init__(self, url: str, key: str, engines: Sequence[Json] = ()) -> None:
        self.url = url
        self.engines = engines
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def status(self) -> Json:
        """Live version, engine, worker."""
        return await self._call("GET", "/admin/status")

    async def update(self) -> int:
        """Start a cycle; its number. StateError while one is running."""
        return (await self._call("POST", "/admin/update"))["cycle"]

    async def roll_back(self) -> Json:
        """Go back to what was live before."""
        return await self._call("POST", "/admin/rollback")

    async def verify(self, version: str) -> float | None:
        """How far the engines' answers lie from a version's probe, in nats; None where none holds
        it."""
        said = await self._call("POST", "/admin/verify", {"version": version})
        return said["probe_difference"]

    async def withdraw(self, documents: Sequence[str]) -> Json:
        """Withdraw documents: `withdrawn`, and the number of the `cycle` that makes the line anew,
        where there is one, or why it `waits`."""
        return await self._call("POST", "/admin/withdraw", {"documents": list(documents)})

    async def consolidate(self) -> Json:
        """Put whole weights in the live version's place: returns when they are live."""
        return await self._call("POST", "/admin/consolidate", timeout_s=None)

    async def forget(self, thread: str) -> None:
        """Forget a thread, by its name among those of all keys."""
        await self._call("DELETE", f"/threads/{quote(thread, safe='')}")

    async def promote(self, version: str) -> Json:
        """Make a version live."""
        return await self._call("POST", "/admin/promote", {"version": version})

    async def versions(self) -> list[Json]:
        """`name`, `state`, `parent` of the versions that the engines hold, and whether one is
        `live`."""
        data = (await self._call("GET", "/v1/models"))["data"]
        told = {entry["id"]: entry.get("perennial") or {} for entry in data}
        live = next((about["alias_of"] for about in told.values() if "alias_of" in about), None)
        return [
            {"name": name, "state": a.get("state"), "parent": a.get("parent"), "live": name == live}
            for name, a in told.items()
            if "alias_of" not in a
        ]

    async def ask(
        self, question: str, thread: str | None = None, version: str | None = None
    ) -> AsyncGenerator[Piece, None]:
        """The answer in pieces, Answer last. Nobody can be asked for a yes meanwhile."""
        body: Json = {
            "model": version or "live",
            "messages": [{"role": "user", "content": question}],
            "stream": True,
        }
        headers = {"X-Thread-Id": thread} if thread else {}
        lines = self._events("/v1/chat/completions", body, headers)
        async with aclosing(lines), aclosing(_pieces(lines)) as pieces:
            async for piece in pieces:
                yield piece

    async def run_on(self, thread: str, body: Json) -> AsyncGenerator[tuple[str, Any], None]:
        """A run of the LangGraph protocol on a thread, which is made where there is none: its
        events and their data."""
        given = {"assistant_id": "agent", "if_not_exists": "create", "durability": "exit"} | body
        lines = self._events(f"/threads/{thread}/runs/stream", given, {})
        async with aclosing(lines):
            async for event in lines:
                yield event

    async def _events(
        self, path: str, body: Json, headers: dict[str, str]
    ) -> AsyncGenerator[tuple[str, Any], None]:
        """Server-sent events as (event, data); those of OpenAI's protocol have no name."""
        try:
            async with (
                self._client(None) as client,
                client.stream("POST", path, json=body, headers=headers) as reply,
            ):
                if reply.status_code >= 400:
                    await reply.aread()
                    raise _refusal(reply)
                name = ""
                async for line in reply.aiter_lines():
                    field, _, value = line.partition(":")
                    if field == "event":
                        name = value.strip()
                    elif field == "data" and value.strip() != "[DONE]":
                        yield name, json.loads(value)
        except httpx.HTTPError as error:
            raise self._gone(error) from error

    async def _call(
        self, method: str, path: str, body: Json | None = None, timeout_s: float | None = ADMIN_S
    ) -> Json:
        try:
            async with self._client(timeout_s) as client:
                reply = await client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise self._gone(error) from error
        if reply.status_code >= 400:
            raise _refusal(reply)
        return reply.json() if reply.content else {}

    def _client(self, timeout_s: float | None) -> httpx.AsyncClient:
        # The address is on this machine: a proxy of the environment has no business here.
        return httpx.AsyncClient(
            base_url=self.url, headers=self._headers, timeout=timeout_s, trust_env=False
        )

    def _gone(self, error: httpx.HTTPError) -> EngineUnavailable:
        why = str(error) or type(error).__name__
        return EngineUnavailable(
            f"the server at {self.url} does not answer: {why}", "is `perennial up` still running?"
        )


async def _pieces(
    events: AsyncGenerator[tuple[str, Json], None],
) -> AsyncGenerator[Piece, None]:
    """What the chunks of a stream say."""
    version = ""
    async for _, chunk in events:
        if "error" in chunk:
            raise EngineUnavailable(chunk["error"]["message"], "ask again")
        version = chunk.get("model", version)
        for choice in chunk["choices"]:
            if choice["delta"].get("content"):
                yield Token(choice["delta"]["content"])
        ours = chunk.get("perennial") or {}
        if call := ours.get("tool_call"):
            yield ToolCalled(call["id"], call["name"], call["arguments"])
        if result := ours.get("tool_result"):
            yield ToolReplied(result["id"], result["name"], result["content"], result["ok"])
        if "episode" in ours:
            sources = tuple(ours.get("citations", ()))
            yield Answer(version, ours["steps"], ours["episode"], sources)


def _refusal(reply: httpx.Response) -> PerennialError:
    try:
        words = reply.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        words = reply.text[:200] or "no words"
    kind = _ERRORS.get(reply.status_code, PerennialError)
    return kind(words)
