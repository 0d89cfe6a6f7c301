"""Documents on the learning page: what waits to be learned, what is held back, and a decision.

What holds a document is decided above this layer, and what a decision does in store/reviews.py.
Built into the pages by agent.web.app.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from agent.api.auth import State
from agent.web.frame import PageRoute, back_to, page
from agent.web.learning import actions_of, page_actions
from agent.web.visitors import Administering, Reading
from store.errors import NotFoundError
from store.records import DocumentState

router = APIRouter(prefix="/learning/documents", route_class=PageRoute, include_in_schema=False)

AT_ONCE = 50
"""Documents of one list."""


@router.get("")
def documents(
    request: Request, state: State, visitor: Reading, after: Annotated[int, Query(ge=0)] = 0
) -> Response:
    """Both queues: held back for a person, and waiting for the next update."""
    store = state.store
    waiting = page_actions(state).waiting()
    reviews = store.reviews.list(most=AT_ONCE, after=after)
    held = {d.digest: d for d in store.documents.get_all(r.document for r in reviews)}
    return page(
        request, "documents.html.jinja", waiting=store.documents.get_all(waiting[:AT_ONCE]),
        waiting_count=len(waiting), held=[(review, held[review.document]) for review in reviews],
        held_count=store.reviews.count_waiting(), after=after, at_once=AT_ONCE,
        sources=len(store.sources.list()), admin=visitor.may("admin"),
    )  # fmt: skip


@router.get("/{digest}")
def document(digest: str, request: Request, state: State, visitor: Reading) -> Response:
    """One document: its text, why it is held, what came of it."""
    store = state.store
    found = store.documents.get(store.documents.find(digest))
    try:
        review = store.reviews.get(found.digest)
    except NotFoundError:
        review = None
    return page(
        request, "document.html.jinja", document=found, review=review,
        came=page_actions(state).came_of(found.digest), admin=visitor.may("admin"),
        may_withdraw=found.state is DocumentState.ACCEPTED,
    )  # fmt: skip


@router.post("/{digest}/decide")
def decide(
    digest: str,
    state: State,
    visitor: Administering,
    decision: Annotated[Literal["accepted", "withdrawn"], Form()],
    why: Annotated[str, Form(max_length=10_000)] = "",
) -> Response:
    """Accept a held document, or take it out for ever."""
    found = state.store.documents.get(digest)
    state.store.reviews.decide(digest, decision, why=why, by=visitor.caller.name)
    then = "joins the next update" if decision == "accepted" else "stays out for ever"
    return back_to("/learning/documents", f"{found.title or found.address} {then}.")


@router.post("/{digest}/withdraw")
async def withdraw(digest: str, state: State, visitor: Administering) -> Response:
    """Take an accepted document back, and make anew what learned from it."""
    done = await actions_of(state).withdraw([digest])
    said = "The document is withdrawn."
    if done["cycle"]:
        said += f" Cycle {done['cycle']} makes the line anew without it."
    elif done["waits"]:
        said += f" The line is made anew by the next update: {done['waits']}."
    return back_to("/learning/documents", said)
