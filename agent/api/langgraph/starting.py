"""Starts the runs of this protocol, and does what a new one wants done with those under way.

Called by the routes; what a run does is agent.api.langgraph.performing's.
"""

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

from agent.api.auth import Caller
from agent.api.errors import ApiError
from agent.api.langgraph.live import LiveRun
from agent.api.langgraph.names import assistant_of, full_name, no_thread
from agent.api.langgraph.parts import StreamMode
from agent.api.langgraph.performing import Performance
from agent.api.langgraph.plans import plan_of
from agent.api.langgraph.run_bodies import RunBody
from agent.api.state import AppState
from store.records import utc_now
from store.thread_runs import ThreadRun


async def start(
    state: AppState,
    caller: Caller,
    thread: str | None,
    body: RunBody,
    usual: set[StreamMode],
    *,
    background: bool = False,
) -> LiveRun:
    """Start a run on the caller's thread of that name, or on none.

    404 for a thread or an assistant that there is not, 409 where a run is under way and the new one
    is to be rejected then, 429 for one too many in the background.
    """
    kept = thread is not None or body.on_completion == "keep"
    if kept:
        _ = state.agent.states  # refuses where no threads are kept
    assistant = await asyncio.to_thread(assistant_of, state, body.assistant_id)
    plan = plan_of(body, assistant, usual, kept=kept)
    full = full_name(thread or str(uuid4()), caller)
    now = utc_now()
    record = ThreadRun(
        id=str(uuid4()), thread=full, assistant=plan.assistant.id, created_at=now, updated_at=now,
        metadata=body.metadata or {}, strategy=body.multitask_strategy or "enqueue",
    )  # fmt: skip
    live = LiveRun(record, resumable=body.stream_resumable, kept=kept)
    held = AsyncExitStack()
    if background:
        await held.enter_async_context(state.usage.held(caller, besides=1))
    try:
        if kept:
            made = thread is None or body.if_not_exists == "create"
            await asyncio.to_thread(_thread, state, caller, full, thread, made)
        before = await _make_way(state, live, body)
        state.runs.add(live)
        if kept:
            await asyncio.to_thread(state.store.runs.begin, live.record)
    except BaseException:
        state.runs.drop(live)
        await held.aclose()
        raise
    performance = Performance(state, live, plan, before, caller.tenant, held)
    live.task = asyncio.create_task(performance.perform())
    # A task that is cancelled before its first step would never take note of its end.
    await asyncio.sleep(0)
    return live


def _thread(state: AppState, caller: Caller, full: str, named: str | None, made: bool) -> None:
    """See to it that the thread is there; 404 where it is not and may not be made."""
    if state.store.threads.find(full) is None:
        if not made:
            raise no_thread(named or full)
        state.store.threads.create(full, caller.tenant, {})


async def _make_way(state: AppState, live: LiveRun, body: RunBody) -> list[LiveRun]:
    """The runs on the thread that the new one has to wait for; the others are stopped."""
    there = state.runs.on(live.record.thread)
    match body.multitask_strategy:
        case "reject" if there:
            raise ApiError(
                409, f"run {there[-1].record.id} is under way on that thread; wait for it, or "
                "choose another multitask_strategy", code="conflict",
            )  # fmt: skip
        case "interrupt" | "rollback" as how:
            # The last first: those that wait for it would else begin meanwhile.
            for run in reversed(there):
                await run.cancel(how)
            return []
    return there
