"""What threads hold: the last state, earlier ones, and changes of them from outside.

Runs are in routes of their own.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from agent.api.auth import Caller, Chatting, MayChat, State
from agent.api.errors import ApiError, refusals
from agent.api.langgraph.answers import StateAnswer, StateChanged
from agent.api.langgraph.bodies import HistoryBody, Id, StateAt, StateBody, ThreadPath
from agent.api.langgraph.finding import thread_there
from agent.api.langgraph.messages import to_wire
from agent.api.langgraph.snapshots import checkpoint_of, thread_state
from agent.api.state import AppState
from agent.history import with_ids

router = APIRouter(
    prefix="/threads/{thread_id}", dependencies=[MayChat], tags=["LangGraph threads"]
)

_SHOWN: dict[str, Any] = {
    "response_model": StateAnswer, "response_model_exclude_unset": True,
    "responses": refusals(404),
}  # fmt: skip
Select = Annotated[list[str] | None, Query()]


@router.get("/state", **_SHOWN)
async def last(
    thread_id: ThreadPath, state: State, caller: Chatting, select: Select = None
) -> dict[str, Any]:
    """The last state."""
    return await _state(state, caller, thread_id, None, select)


@router.get("/state/{checkpoint_id}", **_SHOWN)
async def at(
    thread_id: ThreadPath, checkpoint_id: Id, state: State, caller: Chatting, select: Select = None
) -> dict[str, Any]:
    """The state of a checkpoint."""
    return await _state(state, caller, thread_id, checkpoint_id, select)


@router.post("/state/checkpoint", **_SHOWN)
async def at_checkpoint(
    thread_id: ThreadPath, body: StateAt, state: State, caller: Chatting
) -> dict[str, Any]:
    """The same."""
    return await _state(state, caller, thread_id, body.checkpoint.checkpoint_id, body.select)


@router.post("/state", response_model=StateChanged, responses=refusals(404, 409))
async def change(
    thread_id: ThreadPath, body: StateBody, state: State, caller: Chatting
) -> dict[str, Any]:
    """Change a state, the last or another, into a new last one."""
    thread = await thread_there(state, caller, thread_id)
    if state.runs.on(thread.name):
        raise ApiError(409, "a run is under way on that thread; wait for it", code="conflict")
    at = body.checkpoint_id or (body.checkpoint.checkpoint_id if body.checkpoint else None)
    if at:
        await _state(state, caller, thread_id, at, None)
    values: dict[str, Any] | None = None
    if body.values is not None:
        try:
            values = {"messages": with_ids(to_wire(body.values.get("messages") or []))}
        except ValueError as error:
            raise ApiError(400, f"values.{error}", param="values.messages") from error
    config = await state.agent.states.change(thread.name, values, body.as_node, at)
    return {"checkpoint": checkpoint_of(config, thread_id)}


@router.post(
    "/history", response_model=list[StateAnswer], response_model_exclude_unset=True,
    responses=refusals(404),
)  # fmt: skip
async def history(
    thread_id: ThreadPath, body: HistoryBody, state: State, caller: Chatting
) -> list[dict[str, Any]]:
    """A thread's states, the latest first."""
    thread = await thread_there(state, caller, thread_id)
    before = body.before
    if isinstance(before, dict):
        named = before.get("configurable") or before
        before = named.get("checkpoint_id") if isinstance(named, dict) else None
        if not isinstance(before, str):
            raise ApiError(400, "before: a checkpoint has a checkpoint_id", param="before")
    found = await state.agent.states.history(thread.name, body.limit, before, body.metadata)
    return [_selected(thread_state(one, thread_id), body.select) for one in found]


async def _state(
    state: AppState, caller: Caller, named: str, at: str | None, select: list[str] | None
) -> dict[str, Any]:
    thread = await thread_there(state, caller, named)
    found = await state.agent.states.get(thread.name, at)
    if at and found.created_at is None:
        raise ApiError(
            404, f"there is no checkpoint {at!r} of that thread", param="checkpoint_id",
            code="not_found",
        )  # fmt: skip
    return _selected(thread_state(found, named), select)


def _selected(shown: dict[str, Any], select: list[str] | None) -> dict[str, Any]:
    """What was asked for of a state; `values.messages` is one of its values."""
    if not select:
        return shown
    wanted = {name.partition(".")[0] for name in select}
    chosen = {name: value for name, value in shown.items() if name in wanted}
    parts = {name.partition(".")[2] for name in select if name.startswith("values.")}
    if "values" in chosen and parts and "values" not in select:
        chosen["values"] = {k: v for k, v in chosen["values"].items() if k in parts}
    return chosen
