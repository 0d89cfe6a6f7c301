"""Runs: started, waited for, streamed, joined, listed, cancelled. On threads, and on none.

What a run does is agent.api.langgraph.performing's.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from agent.api.auth import Caller, Chatting, MayChat, State
from agent.api.errors import refusals
from agent.api.langgraph.answers import RunAnswer
from agent.api.langgraph.bodies import Id, ThreadPath
from agent.api.langgraph.finding import live_or_past, run_of, shown_run, thread_there
from agent.api.langgraph.live import LiveRun, Stop
from agent.api.langgraph.names import full_name, shown_thread
from agent.api.langgraph.parts import StreamMode
from agent.api.langgraph.plans import BACKGROUND
from agent.api.langgraph.run_bodies import CancelBody, RunBody
from agent.api.langgraph.snapshots import values_of
from agent.api.langgraph.starting import start
from agent.api.state import AppState
from store.thread_runs import RunStatus, ThreadRun

router = APIRouter(dependencies=[MayChat], tags=["LangGraph runs"])

BEAT_S = 15.0
"""Silence after which a client is sent a sign of life: proxies close what is silent."""
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The run's parts as server-sent events",
        # No schema: it would be of the whole text, and not of an event.
        "content": {"text/event-stream": {}},
    }
}
_VALUES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The thread's values at the run's end, or `__error__`",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}
_NEW = refusals(404, 409, 503)


@router.post("/threads/{thread_id}/runs/stream", responses=_STREAM | _NEW)
@router.post("/runs/stream", responses=_STREAM | _NEW)
async def stream(
    body: RunBody, state: State, caller: Chatting, thread_id: ThreadPath | None = None
) -> Response:
    """Start a run and stream it."""
    run = await start(state, caller, thread_id, body, {"values"})
    return _streamed(run, caller, _ends_with_client(body), 0)


@router.post("/threads/{thread_id}/runs/wait", responses=_VALUES | _NEW)
@router.post("/runs/wait", responses=_VALUES | _NEW)
async def wait(
    body: RunBody, state: State, caller: Chatting, thread_id: ThreadPath | None = None
) -> Response:
    """Start a run and wait for its end."""
    run = await start(state, caller, thread_id, body, {"values"})
    return _awaited(run, caller, _ends_with_client(body))


@router.post("/threads/{thread_id}/runs", response_model=RunAnswer, responses=_NEW)
@router.post("/runs", response_model=RunAnswer, responses=_NEW)
async def create(
    body: RunBody, state: State, caller: Chatting, response: Response,
    thread_id: ThreadPath | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Start a run in the background."""
    run = await start(state, caller, thread_id, body, BACKGROUND, background=True)
    response.headers["Content-Location"] = _location(run, caller)
    return shown_run(run.record, caller)


@router.get("/threads/{thread_id}/runs", response_model=list[RunAnswer], responses=refusals(404))
async def list_runs(
    thread_id: ThreadPath, state: State, caller: Chatting,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
    status: RunStatus | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """A thread's runs, the latest first."""
    thread = await thread_there(state, caller, thread_id)
    found = await asyncio.to_thread(state.store.runs.list, thread.name, limit, offset, status)
    return [shown_run(run, caller) for run in found]


@router.get("/threads/{thread_id}/runs/{run_id}", response_model=RunAnswer, responses=refusals(404))
async def get(thread_id: ThreadPath, run_id: Id, state: State, caller: Chatting) -> dict[str, Any]:
    """One run."""
    return shown_run(await run_of(state, caller, thread_id, run_id), caller)


@router.get("/threads/{thread_id}/runs/{run_id}/join", responses=_VALUES | refusals(404))
async def join(thread_id: ThreadPath, run_id: Id, state: State, caller: Chatting) -> Response:
    """Wait for a run's end."""
    found = await live_or_past(state, caller, thread_id, run_id)
    if isinstance(found, LiveRun):
        return _awaited(found, caller, False)
    return Response(await _past_values(state, found), media_type="application/json")


@router.get("/threads/{thread_id}/runs/{run_id}/stream", responses=_STREAM | refusals(404))
async def join_stream(
    thread_id: ThreadPath, run_id: Id, state: State, caller: Chatting,
    cancel_on_disconnect: bool = False,
    stream_mode: Annotated[list[StreamMode | Literal[""]] | None, Query()] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:  # fmt: skip
    """The stream of a run from now on, or from behind a place of it where it is kept."""
    found = await live_or_past(state, caller, thread_id, run_id)
    if isinstance(found, ThreadRun):
        ended = LiveRun(found, resumable=False, kept=True)
        ended.tell("end", {"run_id": found.id, "status": found.status})
        ended.end()
        return _streamed(ended, caller, False, 0)
    place = len(found.sent) if not found.done.is_set() else max(0, len(found.sent) - 1)
    if found.resumable:
        place = int(last_event_id) + 1 if last_event_id and last_event_id.isdecimal() else 0
    return _streamed(found, caller, cancel_on_disconnect, place, {*(stream_mode or ())} - {""})


@router.post("/threads/{thread_id}/runs/{run_id}/cancel", responses=refusals(404))
async def cancel(
    thread_id: ThreadPath, run_id: Id, state: State, caller: Chatting,
    wait: bool = False, action: Stop = "interrupt",
) -> None:  # fmt: skip
    """Stop a run; nothing where it has ended."""
    found = await live_or_past(state, caller, thread_id, run_id)
    if isinstance(found, LiveRun):
        await found.cancel(action)


@router.post("/runs/cancel", status_code=204)
async def cancel_many(
    body: CancelBody, state: State, caller: Chatting, action: Stop = "interrupt"
) -> None:
    """Stop runs of a thread, or all of the caller's that have a status."""
    thread = full_name(body.thread_id, caller) if body.thread_id else None
    for run in reversed(state.runs.under_way()):
        record = run.record
        own = caller.tenant is None or record.thread.startswith(f"{caller.tenant}:")
        named = body.run_ids is None or record.id in body.run_ids
        there = thread is None or record.thread == thread
        if own and named and there and body.status in (None, "all", record.status):
            await run.cancel(action)


@router.delete("/threads/{thread_id}/runs/{run_id}", status_code=204, responses=refusals(404))
async def delete(thread_id: ThreadPath, run_id: Id, state: State, caller: Chatting) -> None:
    """Stop a run and forget that it was; what it did stays in its thread."""
    found = await live_or_past(state, caller, thread_id, run_id)
    if isinstance(found, LiveRun):
        await found.cancel()
        state.runs.drop(found)
        if not found.kept:
            return
    await asyncio.to_thread(state.store.runs.delete, full_name(thread_id, caller), run_id)


def _ends_with_client(body: RunBody) -> bool:
    if body.on_disconnect:
        return body.on_disconnect == "cancel"
    return not body.stream_resumable


def _location(run: LiveRun, caller: Caller) -> str:
    return f"/threads/{shown_thread(run.record.thread, caller)}/runs/{run.record.id}"


def _streamed(
    run: LiveRun, caller: Caller, ends_with_client: bool, place: int,
    modes: set[str] | None = None,
) -> Response:  # fmt: skip
    headers = {"Content-Location": _location(run, caller), "Cache-Control": "no-store"}
    headers["X-Accel-Buffering"] = "no"
    if run.resumable:
        # Clients that are cut off come back to it with the place that they had come to.
        headers["Location"] = _location(run, caller) + "/stream"

    async def lines() -> AsyncGenerator[bytes, None]:
        async for item in run.follow(place, BEAT_S):
            if item is None:
                yield b": still there\n\n"
                continue
            at, (event, data) = item
            if not modes or event.partition("/")[0] in _names(modes):
                id = f"id: {at}\n" if run.resumable else ""
                yield f"event: {event}\ndata: {json.dumps(data)}\n{id}\n".encode()

    return StreamingResponse(
        _left(run, lines(), ends_with_client), media_type="text/event-stream", headers=headers
    )


def _names(modes: set[str]) -> set[str]:
    """The events that a client of these modes gets."""
    tuples = {"messages"} if "messages-tuple" in modes else set[str]()
    return modes | tuples | {"metadata", "error", "end"}


def _awaited(run: LiveRun, caller: Caller, ends_with_client: bool) -> Response:
    headers = {"Content-Location": _location(run, caller)}
    if run.kept:
        headers["Location"] = _location(run, caller) + "/join"

    async def body() -> AsyncGenerator[bytes, None]:
        # Whitespace before the JSON is a sign of life, and lets a client's end be noticed.
        async for item in run.follow(len(run.sent), BEAT_S):
            if item is None:
                yield b"\n"
        yield json.dumps(run.values).encode()

    return StreamingResponse(
        _left(run, body(), ends_with_client), media_type="application/json", headers=headers
    )


async def _left(
    run: LiveRun, body: AsyncGenerator[bytes, None], ends_with_client: bool
) -> AsyncIterator[bytes]:
    """The body; a run that nobody else waits for ends when its client leaves."""
    try:
        async for piece in body:
            yield piece
    finally:
        await body.aclose()
        if ends_with_client:
            run.leave()


async def _past_values(state: AppState, run: ThreadRun) -> bytes:
    if run.status == "error":
        return json.dumps({"__error__": {"error": "RunFailed", "message": run.error}}).encode()
    last = await state.agent.states.get(run.thread)
    return json.dumps(values_of(last.values)).encode()
