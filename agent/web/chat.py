"""The chat page: threads, turns, what users say of answers, and where answers come from.

Asking itself is in agent.web.asking. Built into the pages by agent.web.app.
"""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from agent.api.auth import State
from agent.api.feedback import MAX_CORRECTION
from agent.api.state import AppState
from agent.web.asking import calls_of
from agent.web.frame import PageRoute, back_to, fragment, page
from agent.web.turns import PREFIX, own_episode, threads_of, turns_of
from agent.web.visitors import Chatting, Looking, Visitor
from store.errors import EngineError, NotFoundError
from store.feedback import Rating

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/")
async def new(request: Request, state: State, visitor: Looking) -> Response:
    """A thread that has not begun; for who may not chat, what they may see."""
    if not visitor.may("chat"):
        return RedirectResponse("/learning", 303)
    return await _chat(request, state, visitor, "")


@router.get("/chat/{thread}")
async def thread(thread: str, request: Request, state: State, visitor: Chatting) -> Response:
    """A thread of the caller's. NotFoundError for any other."""
    return await _chat(request, state, visitor, thread)


@router.get("/chat/{thread}/list")
def listed(thread: str, state: State, visitor: Chatting) -> Response:
    """The list of threads alone, after a turn."""
    rows = threads_of(state.store, visitor.caller)
    return HTMLResponse(fragment("parts/threads.html.jinja", threads=rows, thread=thread))


async def _chat(request: Request, state: AppState, visitor: Visitor, thread: str) -> Response:
    waits: list[Any] = []
    turns: list[Any] = []
    if thread:
        name = await asyncio.to_thread(_there, state, visitor, thread)
        turns = await asyncio.to_thread(turns_of, state.store, visitor.caller, thread)
        waiting = await state.agent.waiting(name)
        waits = calls_of(waiting.asked) if waiting else []
    return page(
        request, "chat.html.jinja", thread=thread, turns=turns, waits=waits,
        threads=await asyncio.to_thread(threads_of, state.store, visitor.caller),
        versions=await versions_held(state), examples=EXAMPLES, reads=visitor.may("read"),
    )  # fmt: skip


def _there(state: AppState, visitor: Visitor, thread: str) -> str:
    """A thread's name among those of all callers. NotFoundError for one that is not there."""
    name = visitor.caller.thread(thread) or thread
    if not thread.startswith(PREFIX) or state.store.threads.find(name) is None:
        raise NotFoundError("there is no such thread of yours", "begin a new one")
    return name


MOST_RUNS = 10_000
"""Runs of a thread that are exported."""
EXAMPLES = (
    "What is 17 times 23?",
    "Which tools do you have?",
    "Search the documents for opening hours",
)
"""Questions to begin with."""


async def versions_held(state: AppState) -> list[str]:
    """Versions that can be asked now, the newest first; none while no engine answers."""
    try:
        held = await state.engine.models()
    except EngineError:
        return []
    known = await asyncio.to_thread(state.store.versions.named, held)
    return sorted(known, key=lambda name: -known[name].number)


@router.get("/chat/{thread}/export")
def export(thread: str, state: State, visitor: Chatting) -> Response:
    """What is kept of a thread's runs, as a file."""
    found = state.store.episodes.of_thread(_there(state, visitor, thread), MOST_RUNS)
    told = [episode.model_dump(mode="json") for episode in found]
    named = {"Content-Disposition": f'attachment; filename="{thread}.json"'}
    return JSONResponse({"thread": thread, "episodes": told}, headers=named)


@router.post("/chat/{thread}/delete")
async def delete(thread: str, state: State, visitor: Chatting) -> Response:
    """Forget a thread: what was said in it, and what was said of its answers."""
    name = await asyncio.to_thread(_there, state, visitor, thread)
    # The states first: a thread that is still listed can be deleted again.
    if state.agent.keeps_threads:
        await state.agent.states.delete(name)
    await asyncio.to_thread(state.store.threads.delete, name)
    return back_to("/", "The thread is deleted.")


@router.post("/chat/feedback/{episode}")
def feedback(
    episode: str,
    state: State,
    visitor: Chatting,
    rating: Annotated[Rating, Form()],
    correction: Annotated[str, Form(max_length=MAX_CORRECTION)] = "",
) -> Response:
    """What is said of an answer, in place of what was said before."""
    own_episode(state.store, visitor.caller, episode)
    said = state.store.feedback.put(episode, rating, correction.strip() or None)
    if state.rated:
        state.rated()
    return HTMLResponse(fragment("parts/thumbs.html.jinja", id=episode, said=said))


@router.get("/chat/why/{episode}")
def why(episode: str, state: State, visitor: Chatting) -> Response:
    """The version behind an answer, what it learned, and from where."""
    found = own_episode(state.store, visitor.caller, episode)
    if state.pages is None:
        raise NotFoundError("this server has no lineage to show")
    lineage = state.pages.lineage(found.version)
    return HTMLResponse(
        fragment("parts/why.html.jinja", lineage=lineage, reads=visitor.may("read"))
    )
