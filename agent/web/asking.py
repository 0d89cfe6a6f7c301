"""Questions from the pages to the agent, answered as a stream of JSON lines.

Lines are `start`, `token`, `call`, `result`, `asked` (a person has to say yes), `done` (the turn as
HTML) and `error`. A page that leaves ends the run, which frees its place in the engine. Built
into the pages by agent.web.app.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from agent.api.auth import State
from agent.api.errors import ApiError
from agent.api.model_list import ALIASES
from agent.api.pinning import pinned
from agent.api.state import AppState
from agent.options import Options
from agent.runs import Input
from agent.state import Done, Event, Part, Resume, RunResult, Token, ToolCalled, ToolReplied
from agent.web.frame import PageRoute, fragment
from agent.web.turns import PREFIX, begin, own_episode, turn_of
from agent.web.visitors import Chatting, Reading, Visitor
from store.errors import NotFoundError, PerennialError, StateError

router = APIRouter(prefix="/ask", route_class=PageRoute, include_in_schema=False)

Text = Annotated[str, Field(min_length=1, max_length=100_000)]
Version = Annotated[str, Field(max_length=64)]
Thread = Annotated[str, Field(pattern=rf"^{PREFIX}[0-9a-f]{{12}}$")]
Json = dict[str, Any]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Ask(_Body):
    """A question of a thread; None begins a new one."""

    text: Text
    thread: Thread | None = None
    version: Version = ALIASES[0]


class Again(_Body):
    """The question of an answer, to another version."""

    episode: str = Field(max_length=64)
    version: Version


class Approved(_Body):
    """Which of the calls that a thread waits with may be made, by their ids."""

    thread: Thread
    approved: list[Annotated[str, Field(max_length=200)]] = Field(max_length=100)


class Put(_Body):
    """A question to one version, outside every thread."""

    text: Text
    version: Version


@router.post("/chat")
async def chat(body: Ask, state: State, visitor: Chatting) -> StreamingResponse:
    """The next turn of a thread."""
    name = body.thread or PREFIX + uuid4().hex[:12]
    whole = visitor.caller.thread(name) or name
    if body.thread is None:
        await asyncio.to_thread(begin, state.store, visitor.caller, name, body.text)
    elif await asyncio.to_thread(state.store.threads.find, whole) is None:
        raise NotFoundError("there is no such thread of yours", "begin a new one")
    run = _Run(state, visitor, body.version, whole, name)
    return run.stream([{"role": "user", "content": body.text}])


@router.post("/again")
async def again(body: Again, state: State, visitor: Chatting) -> StreamingResponse:
    """What another version answers in the same place; the thread goes on without it."""
    episode = await asyncio.to_thread(own_episode, state.store, visitor.caller, body.episode)
    asked = max((i for i, m in enumerate(episode.messages) if m.role == "user"), default=-1)
    if asked < 0:
        raise ApiError(400, "there is no question in that turn")
    return _Run(state, visitor, body.version).stream(episode.messages[: asked + 1])


@router.post("/answer")
async def answer(body: Approved, state: State, visitor: Chatting) -> StreamingResponse:
    """Go on with a run that asked before calling tools, on the version that it is pinned to."""
    whole = visitor.caller.thread(body.thread) or body.thread
    waiting = await state.agent.waiting(whole)
    if waiting is None:
        raise StateError("this thread waits for nothing any more", "reload the page")
    run = _Run(state, visitor, waiting.version, whole, body.thread)
    return run.stream(Resume({"approved": body.approved}))


@router.post("/version")
async def version(body: Put, state: State, visitor: Reading) -> StreamingResponse:
    """One of two versions that are compared: no thread, no history."""
    if not visitor.may("chat"):
        raise ApiError(403, "this key may not ask; log in with one that may chat")
    return _Run(state, visitor, body.version).stream([{"role": "user", "content": body.text}])


def calls_of(asked: Any) -> list[Json]:
    """The calls that a person is asked about."""
    return [
        call
        for each in asked
        if isinstance(each.value, dict) and each.value.get("type") == "confirm"
        for call in each.value["calls"]
    ]


class _Run:
    """One run for a page. `thread` is its name among those of all callers, `name` the caller's."""

    def __init__(
        self, state: AppState, visitor: Visitor, model: str, thread: str | None = None,
        name: str = "",
    ) -> None:  # fmt: skip
        self._state, self._visitor = state, visitor
        self._model, self._thread, self._name = model, thread, name

    def stream(self, messages: Input) -> StreamingResponse:
        """The answer as it comes."""
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(self._lines(messages), 200, headers, "application/x-ndjson")

    async def _lines(self, messages: Input) -> AsyncGenerator[bytes, None]:
        """The run's lines; what goes wrong is the last one, since the status is long sent."""
        try:
            thread = self._thread or uuid4().hex
            # The version is chosen inside: while weights are replaced, it is not yet known.
            async with (
                self._state.passage(),
                pinned(self._state, self._model, thread) as version,
            ):
                yield _line("start", thread=self._name, version=version)
                async with aclosing(self._events(messages, version)) as events:
                    async for event in events:
                        yield await self._told(event)
        except PerennialError as error:
            yield _line("error", message=error.message, way_out=error.hint)
        except ApiError as error:
            yield _line("error", message=str(error), way_out="")

    def _events(self, messages: Input, version: str) -> AsyncGenerator[Event, None]:
        state = self._state
        options = Options(
            named=self._model not in ALIASES, owner=self._visitor.caller.tenant,
            confirms=self._thread is not None,
        )  # fmt: skip
        return state.agent.stream(
            messages, state.registry(self._thread or uuid4().hex), version, self._thread,
            state.settings.agent.tools_shown, state.embedder, options,
        )  # fmt: skip

    async def _told(self, event: Event) -> bytes:
        match event:
            case Token():
                return _line("token", text=event.text)
            case ToolCalled():
                return _line("call", id=event.id, name=event.name, arguments=event.arguments)
            case ToolReplied():
                return _line("result", id=event.id, text=event.text, ok=event.ok)
            case Done():
                return await self._end(event.result)
            case Part():
                raise AssertionError(f"no stream mode was asked for, and {event.mode} came")

    async def _end(self, result: RunResult) -> bytes:
        if result.asked and self._thread:
            await asyncio.to_thread(self._state.store.threads.mark, self._thread, "interrupted")
            return _line("asked", calls=calls_of(result.asked))
        episode = await asyncio.to_thread(self._state.store.episodes.get, result.id)
        html = fragment(
            "parts/turn.html.jinja", turn=turn_of(episode), kept=bool(self._thread),
            reads=self._visitor.may("read"),
        )  # fmt: skip
        return _line("done", html=html)


def _line(is_: str, **fields: Any) -> bytes:
    return (json.dumps({"is": is_} | fields, ensure_ascii=False) + "\n").encode(errors="replace")
