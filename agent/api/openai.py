"""OpenAI's chat completions and models, answered by the agent.

The version is chosen once, at the start of a request: for an alias the live one, or the canary for
its share of the threads; else the pinned one that was named. Every answer says which in
`X-Perennial-Version` and `system_fingerprint`, and in `X-Request-Id` the id of its run and episode.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from agent.api.answers import ChatCompletion
from agent.api.auth import Chatting, MayChat, State
from agent.api.chunks import completion, sse
from agent.api.errors import ApiError, api_error, refusals
from agent.api.gone import GONE, unless_gone
from agent.api.messages import new_messages
from agent.api.model_list import ALIASES
from agent.api.pinning import pinned
from agent.api.schemas import THREAD, ChatRequest
from agent.api.state import AppState
from agent.history import Wire
from agent.state import Done, Event

router = APIRouter(prefix="/v1", dependencies=[MayChat], tags=["OpenAI"])

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": ChatCompletion,
        "description": "The answer, or with `stream` its chunks as server-sent events",
        # No schema: it would be of the whole text; an event is a ChatCompletionChunk.
        "content": {"text/event-stream": {}},
    }
}


@router.post("/chat/completions", responses=_ANSWERS | refusals(404, 503))
async def chat(
    body: ChatRequest,
    request: Request,
    state: State,
    caller: Chatting,
    x_thread_id: Annotated[str | None, Header(pattern=rf"^{THREAD}$")] = None,
) -> Response:
    """One run of the agent, whole or as a stream."""
    try:
        named = body.thread(x_thread_id)
    except ValueError as error:
        raise ApiError(400, str(error), param="thread_id") from error
    thread = caller.thread(named)
    messages = body.wire()
    if thread and state.agent.keeps_threads:
        messages = new_messages(messages)
    if not any(message["role"] in ("user", "tool") for message in messages):
        raise ApiError(400, "there is no new user message to answer", param="messages")
    async with pinned(state, body.model, thread or uuid4().hex) as version:
        run_id = uuid4().hex
        headers = {"X-Perennial-Version": version, "X-Request-Id": run_id}
        if named:
            headers["X-Thread-Id"] = named
        run = _Run(state, body, messages, version, thread, named, caller.tenant, run_id)
        if body.stream:
            return await run.streamed(headers)
        return await run.whole(request, headers)


class _Run:
    """One request on its version."""

    def __init__(
        self, state: AppState, body: ChatRequest, messages: list[Wire], version: str,
        thread: str | None, named: str | None, tenant: str | None, run_id: str,
    ) -> None:  # fmt: skip
        """`thread` is its name among those of all callers, `named` what this one calls it."""
        self._agent = state.agent
        self._id = run_id
        self._thread = named
        self._version = version
        self._usage = bool(body.stream_options and body.stream_options.include_usage)
        settings = state.settings.agent
        options = body.options(settings.temperature, named=body.model not in ALIASES)
        self._arguments: dict[str, Any] = {
            "messages": messages,
            "registry": state.registry(thread or uuid4().hex),
            "model": version,
            "thread": thread,
            "shown": settings.tools_shown,
            "embedder": state.embedder,
            "options": replace(options, owner=tenant, run_id=run_id),
        }

    async def whole(self, request: Request, headers: dict[str, str]) -> Response:
        """The finished answer; a client that does not wait for it ends the run."""
        result = await unless_gone(request, self._agent.run(**self._arguments))
        if result is None:
            return Response(status_code=GONE)
        if result.fault:
            raise api_error(result.fault)
        return JSONResponse(completion(result, self._thread), headers=headers)

    async def streamed(self, headers: dict[str, str]) -> Response:
        """Wait for the first event, so that an engine that is away is a 503 and no broken 200."""
        events = self._agent.stream(**self._arguments)
        try:
            first = await anext(events)
        except BaseException:
            await events.aclose()
            raise
        if isinstance(first, Done) and first.result.fault:
            await events.aclose()
            raise api_error(first.result.fault)
        events = _rejoined(first, events)
        lines = sse(events, self._id, self._version, self._thread, self._usage)
        headers |= {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(lines, media_type="text/event-stream", headers=headers)


async def _rejoined(first: Event, rest: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """The events with the one already taken in front; closing it closes the run."""
    async with aclosing(rest):
        yield first
        async for event in rest:
            yield event
