"""Finds the threads and runs that a request names, among those of its caller alone.

Another key's are not found, as if there were none. Called by the routes of this package.
"""

import asyncio
from typing import Any

from agent.api.auth import Caller
from agent.api.langgraph.live import LiveRun
from agent.api.langgraph.names import full_name, no_run, no_thread, shown_thread
from agent.api.state import AppState
from store.errors import NotFoundError
from store.thread_runs import ThreadRun
from store.threads import Thread


async def thread_there(state: AppState, caller: Caller, named: str) -> Thread:
    """The caller's thread of that name. 404."""
    found = await asyncio.to_thread(state.store.threads.find, full_name(named, caller))
    if found is None:
        raise no_thread(named)
    return found


async def live_or_past(
    state: AppState, caller: Caller, thread: str, run: str
) -> LiveRun | ThreadRun:
    """A run of the caller's thread: what is going on, or what is kept of it. 404."""
    full = full_name(thread, caller)
    live = state.runs.find(full, run)
    if live is not None:
        return live
    try:
        return await asyncio.to_thread(state.store.runs.get, full, run)
    except NotFoundError:
        raise no_run(run) from None


async def run_of(state: AppState, caller: Caller, thread: str, run: str) -> ThreadRun:
    """How a run of the caller's thread stands. 404."""
    found = await live_or_past(state, caller, thread, run)
    return found.record if isinstance(found, LiveRun) else found


def shown_run(run: ThreadRun, caller: Caller) -> dict[str, Any]:
    """A run as its caller sees it."""
    return {
        "run_id": run.id,
        "thread_id": shown_thread(run.thread, caller),
        "assistant_id": run.assistant,
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "status": run.status,
        "metadata": run.metadata,
        "multitask_strategy": run.strategy,
        "error": run.error,
    }
