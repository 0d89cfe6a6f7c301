"""Administration of a running assistant: what it does, update now, roll back, promote,
consolidate.

Does none of it itself: the actions are callables of AppState. Called by the command line while
`perennial up` is running.
"""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from agent.api.auth import MayAdmin, MayRead, State
from agent.api.errors import ApiError, refusals
from agent.api.state import Actions, AppState, Report
from agent.api.text import Name

router = APIRouter(prefix="/admin", tags=["administration"], responses=refusals(404, 409, 503))


class Named(BaseModel):
    """Which version is meant."""

    model_config = ConfigDict(extra="forbid")

    version: Name


class Documents(BaseModel):
    """Which documents are meant, by their digests."""

    model_config = ConfigDict(extra="forbid")

    documents: list[Name]


def _actions(state: AppState) -> Actions:
    if state.actions is None:
        raise ApiError(404, "this server has no administration", code="not_found")
    return state.actions


@router.get("/status", dependencies=[MayRead])
async def status(state: State) -> Report:
    """Live version, engine, worker: whatever the actions report."""
    return await _actions(state).status()


@router.post("/update", status_code=202, dependencies=[MayAdmin])
async def update(state: State) -> Report:
    """Start a cycle in the background; 409 while one is running."""
    return await _actions(state).update()


@router.post("/rollback", dependencies=[MayAdmin])
async def rollback(state: State) -> Report:
    """Make live what was live before; 409 when there is nothing to go back to."""
    return await _actions(state).roll_back()


@router.post("/promote", dependencies=[MayAdmin])
async def promote(body: Named, state: State) -> Report:
    """Make a version live; 404 for an unknown one, 409 for one that may not go live."""
    return await _actions(state).promote(body.version)


@router.post("/verify", dependencies=[MayAdmin])
async def verify(body: Named, state: State) -> Report:
    """Hold what the engines answer for a version against its probe: `probe_difference`."""
    return await _actions(state).verify(body.version)


@router.post("/consolidate", dependencies=[MayAdmin])
async def consolidate(state: State) -> Report:
    """Put whole weights in the live version's place; answers when they are live. 409 while an
    update runs, or when there is nothing to make whole."""
    return await _actions(state).consolidate()


@router.post("/withdraw", dependencies=[MayAdmin])
async def withdraw(body: Documents, state: State) -> Report:
    """Withdraw documents for ever, and begin to make the live line anew where it learned from
    them; 404 for an unknown one, before any is withdrawn."""
    return await _actions(state).withdraw(body.documents)
