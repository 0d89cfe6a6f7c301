"""OpenAI's list of models: the alias, and every version that can be asked, with its lineage.

Chooses none; that is agent.api.openai's. Built into the application by `agent.api.app`.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path

from agent.api.answers import Model, Models
from agent.api.auth import MayChat, State
from agent.api.errors import ApiError, refusals
from agent.api.state import AppState
from agent.api.text import Name
from store.records import Version

ALIASES = ("live", "perennial")
"""Model names that mean whatever version is live; the first one is listed first."""

router = APIRouter(prefix="/v1", dependencies=[MayChat], tags=["OpenAI"], responses=refusals(503))

_LISTED: dict[str, Any] = {"response_model_exclude_unset": True}


@router.get("/models", response_model=Models, **_LISTED)
async def models(state: State) -> dict[str, Any]:
    """The alias, then every version that the engines hold."""
    return {"object": "list", "data": await _all(state)}


@router.get("/models/{model}", response_model=Model, responses=refusals(404), **_LISTED)
async def model(model: Annotated[Name, Path(max_length=255)], state: State) -> dict[str, Any]:
    """One of them."""
    listed = await _all(state)
    wanted = ALIASES[0] if model in ALIASES else model
    for one in listed:
        if one["id"] == wanted:
            return one
    raise no_model(state, model, [one["id"] for one in listed[1:]])


def no_model(state: AppState, model: str, loaded: list[str]) -> ApiError:
    """404 for a model that cannot be asked, naming those that can."""
    known = state.store.versions.states()
    why = f" (it is {known[model]} and not loaded)" if model in known else ""
    return ApiError(
        404, f"The model `{model}` does not exist{why}; there are: "
        f"{', '.join((ALIASES[0], *loaded))}",
        param="model", code="model_not_found",
    )  # fmt: skip


async def _all(state: AppState) -> list[dict[str, Any]]:
    held = await state.engine.models()
    listed = await asyncio.to_thread(state.store.versions.list)
    known = {version.name: version for version in listed}
    alias = _model(ALIASES[0], 0) | {"perennial": {"alias_of": state.live()}}
    return [alias, *(_held(name, known) for name in held)]


def _held(name: str, known: Mapping[str, Version]) -> dict[str, Any]:
    version = known.get(name)
    if version is None:
        return _model(name, 0)
    about = {
        "number": version.number, "state": version.state, "kind": version.kind,
        "parent": version.parent, "line": _line(version, known), "update": version.update,
        "skills": [skill.model_dump() for skill in version.skills],
    }  # fmt: skip
    return _model(name, int(version.created_at.timestamp())) | {"perennial": about}


def _line(version: Version, known: Mapping[str, Version]) -> list[str]:
    """The version, its parent, and so on down to the base."""
    names = [version.name]
    while (parent := known[names[-1]].parent) in known and parent is not None:
        names.append(parent)
    return names


def _model(name: str, created: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": "perennial"}
