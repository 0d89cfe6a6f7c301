"""Assistants: the live version, and every version by its name. They are made by updates alone.

All share one graph. Asks no model.
"""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path

from agent.api.auth import MayChat, State
from agent.api.errors import refusals
from agent.api.langgraph.answers import AssistantAnswer
from agent.api.langgraph.bodies import AssistantSearch
from agent.api.langgraph.names import GRAPH, LIVE, Assistant, assistant_of, assistants
from agent.api.langgraph.run_bodies import Context
from agent.api.state import AppState
from agent.api.text import Name
from agent.graph import build_graph

router = APIRouter(prefix="/assistants", dependencies=[MayChat], tags=["LangGraph assistants"])
AssistantPath = Annotated[Name, Path(max_length=255)]

_MESSAGES = {
    "type": "object",
    "properties": {
        "messages": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "type": {"enum": ["human", "ai", "system", "tool"]},
                    "content": {"type": "string"},
                    "id": {"type": "string"},
                },
            },
        }
    },
}


@router.post("/search", response_model=list[AssistantAnswer])
async def search(body: AssistantSearch, state: State) -> list[dict[str, Any]]:
    """The live assistant, then the versions, the latest first."""
    found = await asyncio.to_thread(_matching, state, body)
    return found[body.offset : body.offset + body.limit]


@router.post("/count")
async def count(body: AssistantSearch, state: State) -> int:
    """How many there are of these."""
    return len(await asyncio.to_thread(_matching, state, body))


@router.get("/{assistant_id}", response_model=AssistantAnswer, responses=refusals(404))
async def get(assistant_id: AssistantPath, state: State) -> dict[str, Any]:
    """An assistant by its id, a version's name, or the graph's."""
    return _shown(await asyncio.to_thread(assistant_of, state, assistant_id))


@router.get("/{assistant_id}/graph", responses=refusals(404))
async def graph(assistant_id: AssistantPath, state: State) -> dict[str, Any]:
    """The graph's nodes and edges."""
    await asyncio.to_thread(assistant_of, state, assistant_id)
    return build_graph().get_graph().to_json()


@router.get("/{assistant_id}/schemas", responses=refusals(404))
async def schemas(assistant_id: AssistantPath, state: State) -> dict[str, Any]:
    """What a run takes and gives, as JSON Schema."""
    await asyncio.to_thread(assistant_of, state, assistant_id)
    context = Context.model_json_schema()
    return {
        "graph_id": GRAPH, "input_schema": _MESSAGES, "output_schema": _MESSAGES,
        "state_schema": _MESSAGES, "config_schema": context, "context_schema": context,
    }  # fmt: skip


@router.get("/{assistant_id}/subgraphs", responses=refusals(404))
async def subgraphs(assistant_id: AssistantPath, state: State) -> dict[str, Any]:
    """There are none."""
    await asyncio.to_thread(assistant_of, state, assistant_id)
    return {}


@router.post(
    "/{assistant_id}/versions", response_model=list[AssistantAnswer], responses=refusals(404)
)
async def versions(assistant_id: AssistantPath, state: State) -> list[dict[str, Any]]:
    """An assistant is one version for ever, or whatever is live."""
    return [_shown(await asyncio.to_thread(assistant_of, state, assistant_id))]


def _matching(state: AppState, body: AssistantSearch) -> list[dict[str, Any]]:
    wanted = body.metadata or {}
    return [
        shown
        for one in assistants(state)
        if body.graph_id in (None, GRAPH)
        and (body.name or "").lower() in one.model.lower()
        and wanted.items() <= (shown := _shown(one))["metadata"].items()
    ]


def _shown(one: Assistant) -> dict[str, Any]:
    version = one.version
    about: dict[str, Any] = {"created_by": "system"}
    words = "Whatever version is live"
    if version:
        about |= {"state": version.state, "kind": version.kind, "parent": version.parent}
        words = f"The version {version.name}, for ever"
    return {
        "assistant_id": one.id,
        "graph_id": GRAPH,
        "name": GRAPH if one is LIVE else one.model,
        "description": words,
        "config": {},
        "context": {},
        "metadata": about,
        "version": 1,
        "created_at": one.created_at(),
        "updated_at": one.created_at(),
    }
