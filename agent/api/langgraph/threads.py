"""Threads: made, found, tagged, copied, exported, deleted. Each belongs to the key that made it.

What is said in them is agent.api.langgraph.thread_states'; runs on them are in their own routes.
"""

import asyncio
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Header, Response

from agent.api.auth import Caller, Chatting, MayChat, State
from agent.api.errors import refusals
from agent.api.langgraph.answers import Exported, Pruned, ThreadAnswer
from agent.api.langgraph.bodies import Prune, ThreadBody, ThreadPatch, ThreadPath, ThreadSearch
from agent.api.langgraph.exporting import export_of
from agent.api.langgraph.finding import thread_there
from agent.api.langgraph.names import GRAPH, full_name, shown_thread
from agent.api.langgraph.snapshots import interrupts_of, values_of
from agent.api.state import AppState
from store.threads import SortBy, Thread

router = APIRouter(prefix="/threads", dependencies=[MayChat], tags=["LangGraph threads"])

_SHOWN: dict[str, Any] = {"response_model_exclude_unset": True}
_SORTED: dict[str, SortBy] = {"thread_id": "name", "state_updated_at": "updated_at"}


@router.post("", response_model=ThreadAnswer, responses=refusals(409))
async def create(body: ThreadBody, state: State, caller: Chatting) -> dict[str, Any]:
    """Make a thread, or with `if_exists: do_nothing` take the one that is there."""
    name = full_name(body.thread_id or str(uuid4()), caller)
    threads = state.store.threads
    found = await asyncio.to_thread(threads.find, name)
    if found is None or body.if_exists == "raise":
        found = await asyncio.to_thread(threads.create, name, caller.tenant, body.metadata or {})
    return await _whole(state, found, caller)


@router.post("/search", response_model=list[ThreadAnswer], **_SHOWN)
async def search(body: ThreadSearch, state: State, caller: Chatting) -> list[dict[str, Any]]:
    """The caller's threads that have all of `metadata`."""
    names = [full_name(id, caller) for id in body.ids] if body.ids is not None else None
    sort_by: SortBy = _SORTED.get(body.sort_by, body.sort_by)  # type: ignore[arg-type]
    found = await asyncio.to_thread(
        state.store.threads.search, caller.tenant, tags=_wanted(body), status=body.status,
        names=names, limit=body.limit, offset=body.offset, sort_by=sort_by,
        ascending=body.sort_order == "asc",
    )  # fmt: skip
    shown = [await _whole(state, thread, caller, body.select) for thread in found]
    if body.select is None:
        return shown
    return [{k: v for k, v in one.items() if k in {*body.select, "thread_id"}} for one in shown]


@router.post("/count")
async def count(body: ThreadSearch, state: State, caller: Chatting) -> int:
    """How many there are of these."""
    return await asyncio.to_thread(
        state.store.threads.count, caller.tenant, tags=_wanted(body), status=body.status
    )


@router.post("/prune", response_model=Pruned)
async def prune(body: Prune, state: State, caller: Chatting) -> dict[str, Any]:
    """Delete threads; those that there are not are passed over."""
    count = 0
    for id in dict.fromkeys(body.thread_ids):
        name = full_name(id, caller)
        if await asyncio.to_thread(state.store.threads.find, name):
            await _forget(state, name)
            count += 1
    return {"pruned_count": count}


@router.get("/{thread_id}", response_model=ThreadAnswer, responses=refusals(404))
async def get(thread_id: ThreadPath, state: State, caller: Chatting) -> dict[str, Any]:
    """A thread with its values."""
    return await _whole(state, await thread_there(state, caller, thread_id), caller)


@router.patch(
    "/{thread_id}", response_model=ThreadAnswer,
    responses=refusals(404) | {204: {"description": "Done; with `Prefer: return=minimal`"}},
)  # fmt: skip
async def update(
    thread_id: ThreadPath, body: ThreadPatch, state: State, caller: Chatting,
    prefer: str | None = Header(default=None),
) -> Any:  # fmt: skip
    """Put metadata on a thread."""
    thread = await thread_there(state, caller, thread_id)
    found = await asyncio.to_thread(state.store.threads.tag, thread.name, body.metadata)
    if prefer == "return=minimal":
        return Response(status_code=204)
    return await _whole(state, found, caller)


@router.delete("/{thread_id}", status_code=204, responses=refusals(404))
async def delete(thread_id: ThreadPath, state: State, caller: Chatting) -> None:
    """Forget a thread: what was said in it, its runs, its episodes and what was said of them."""
    await _forget(state, (await thread_there(state, caller, thread_id)).name)


@router.post("/{thread_id}/copy", response_model=ThreadAnswer, responses=refusals(404))
async def copy(thread_id: ThreadPath, state: State, caller: Chatting) -> dict[str, Any]:
    """Another thread of the same key with the same states."""
    thread = await thread_there(state, caller, thread_id)
    name = full_name(str(uuid4()), caller)
    await state.agent.states.copy(thread.name, name)
    made = await asyncio.to_thread(state.store.threads.create, name, thread.owner, thread.tags)
    return await _whole(state, made, caller)


@router.get("/{thread_id}/export", response_model=Exported, responses=refusals(404), **_SHOWN)
async def export(thread_id: ThreadPath, state: State, caller: Chatting) -> dict[str, Any]:
    """All that is kept of a thread, as `perennial threads export` writes it."""
    thread = await thread_there(state, caller, thread_id)
    return await export_of(state.store, state.agent.states, thread, thread_id)


def _wanted(body: ThreadSearch) -> dict[str, Any]:
    """The metadata to look for. All threads are of one graph, whether or not they say so."""
    wanted = dict(body.metadata or {})
    if wanted.get("graph_id") == GRAPH:
        del wanted["graph_id"]
    return wanted


async def _forget(state: AppState, name: str) -> None:
    for run in reversed(state.runs.on(name)):
        await run.cancel()
    # The states first: a thread that is still listed can be deleted again.
    await state.agent.states.delete(name)
    await asyncio.to_thread(state.store.threads.delete, name)


async def _whole(
    state: AppState, thread: Thread, caller: Caller, select: list[str] | None = None
) -> dict[str, Any]:
    """A thread as its caller sees it; its states are read only where they are wanted."""
    shown: dict[str, Any] = {
        "thread_id": shown_thread(thread.name, caller),
        "created_at": thread.created_at,
        "updated_at": thread.updated_at,
        "metadata": {"graph_id": GRAPH} | thread.tags,
        "status": thread.status,
        "config": {},
        "values": None,
        "interrupts": {},
    }
    if not state.agent.keeps_threads or (select and not {"values", "interrupts"} & {*select}):
        return shown
    last = await state.agent.states.get(thread.name)
    shown["values"] = values_of(last.values) if last.values else None
    asked = {task.id: interrupts_of(task.interrupts) for task in last.tasks if task.interrupts}
    return shown | {"interrupts": asked}
