"""Reviews over HTTP: documents that were kept back, why, and a person's decision about them.

What holds a document is decided above this layer, and what a decision does in store/reviews.py.
Built into the application by `agent.api.app`.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from agent.api.auth import Administering, MayRead, State
from agent.api.errors import refusals
from agent.api.text import Name, Text
from store.reviews import told

router = APIRouter(prefix="/reviews", tags=["documents"])

Digest = Annotated[Name, Path(max_length=255)]


class Decided(BaseModel):
    """The body of POST /reviews/DIGEST."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["accepted", "withdrawn"]
    why: Text = Field(min_length=1, max_length=10_000)
    """Kept with the decision."""


@router.get("", dependencies=[MayRead])
def reviews(
    state: State,
    waiting: bool = True,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> dict[str, Any]:
    """Those that wait for a person, or all of them, the one held longest first; `waiting` counts
    those that wait."""
    store = state.store
    found = store.reviews.list(waiting=waiting, most=limit, after=after)
    documents = {d.digest: d for d in store.documents.get_all(r.document for r in found)}
    return {
        "waiting": store.reviews.count_waiting(),
        "reviews": [told(each, documents[each.document]) for each in found],
    }


@router.get("/{digest}", dependencies=[MayRead], responses=refusals(404))
def review(digest: Digest, state: State) -> dict[str, Any]:
    """One of them with its whole text; 404 for a document that was never held."""
    found = state.store.reviews.get(digest)
    document = state.store.documents.get(digest)
    return told(found, document) | {"text": document.text}


@router.post("/{digest}", responses=refusals(404, 409))
def decide(digest: Digest, body: Decided, state: State, caller: Administering) -> dict[str, Any]:
    """Accept or withdraw; 404 for a document that was never held, 409 for one decided about."""
    done = state.store.reviews.decide(digest, body.decision, why=body.why, by=caller.name)
    return told(done, state.store.documents.get(digest))
