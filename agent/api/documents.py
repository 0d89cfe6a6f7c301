"""Documents that others bring: POST /documents, to a source of kind `posted`.

The same address posted again with the same text changes nothing, with another text it is a new
edition. What becomes of a document is decided above this layer. Built into the application by
`agent.api.app`.
"""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from agent.api.auth import MayAdmin, State
from agent.api.errors import ApiError, refusals
from agent.api.postings import Posting
from agent.api.state import Report
from agent.api.text import Name

MAX_DOCUMENTS = 1000
"""Most documents of one request."""

router = APIRouter(dependencies=[MayAdmin], tags=["documents"], responses=refusals(404, 409))


class Posted(BaseModel):
    """The body of POST /documents."""

    model_config = ConfigDict(extra="forbid")

    source: Name = Field(min_length=1, max_length=255)
    """Name of the source that they belong to."""
    documents: Annotated[list[Posting], Field(min_length=1, max_length=MAX_DOCUMENTS)]


@router.post("/documents")
async def post(body: Posted, state: State) -> dict[str, list[Report]]:
    """Take documents in; `change` says what became of each: added, changed, unchanged, duplicate
    or refused, with the reason, and `held` why it waits for a person."""
    if state.post is None:
        raise ApiError(404, "this server takes no documents", code="not_found")
    return {"documents": await state.post(body.source, body.documents)}
