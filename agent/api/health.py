"""Whether the assistant works, and whether it would answer now. Needs no key, and tells little.

/health is for people and for whoever starts the process anew: the store, an engine and the live
version. /ready is for whoever sends requests here or elsewhere: the same, and that a request would
not have to wait. Built into the application by `agent.api.app`.
"""

import asyncio
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from agent.api.auth import State
from agent.api.state import AppState
from store.errors import PerennialError

router = APIRouter(tags=["telemetry"])


class Health(BaseModel):
    """Whether it works."""

    status: Literal["ok", "unavailable"]
    engine: bool
    """Whether an engine answers."""
    version: str | None
    """The live one; None when the store does not answer, or has none."""


class Readiness(BaseModel):
    """Whether it would answer now."""

    status: Literal["ready", "unavailable"]
    missing: list[str]
    """What is not as it must be, in words."""


_UNWELL: dict[int | str, dict[str, Any]] = {
    503: {"model": Health, "description": "It does not work"}
}
_UNREADY: dict[int | str, dict[str, Any]] = {
    503: {"model": Readiness, "description": "It would not answer now"}
}


@router.get("/health", response_model=Health, responses=_UNWELL)
async def health(state: State, response: Response) -> Health:
    """200 when the engine answers and a version is live, else 503."""
    engine, version = await state.engine.health(), await _live(state)
    ok = engine and version is not None
    if not ok:
        response.status_code = 503
    return Health(status="ok" if ok else "unavailable", engine=engine, version=version)


@router.get("/ready", response_model=Readiness, responses=_UNREADY)
async def ready(state: State, response: Response) -> Readiness:
    """200 when a question that came now would be answered at once, else 503 and why."""
    missing = []
    if waits := state.waits():
        missing.append(waits)
    if not await state.engine.health():
        missing.append("no engine answers")
    version = await _live(state)
    if version is None:
        missing.append("no version is live, or the store does not answer")
    elif not missing and version not in await _held(state):
        missing.append("no engine holds the live version")
    if missing:
        response.status_code = 503
    return Readiness(status="unavailable" if missing else "ready", missing=missing)


async def _live(state: AppState) -> str | None:
    """Read in a thread: a store that hangs must not hold up what needs none."""
    try:
        return await asyncio.to_thread(state.live)
    except PerennialError:
        return None


async def _held(state: AppState) -> list[str]:
    try:
        return await state.engine.models()
    except PerennialError:
        return []
