"""What users say of an answer: POST /v1/feedback, by the episode's id in the answer.

Stores it and draws no conclusion. Built into the application by `agent.api.app`.
"""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from agent.api.auth import Chatting, MayChat, State
from agent.api.errors import refusals
from agent.api.text import Name, Text
from agent.telemetry.metrics import FEEDBACK
from store.episodes import no_episode
from store.feedback import Feedback, Rating

MAX_CORRECTION = 100_000
"""Longest correction, in characters: it has to fit a conversation."""

router = APIRouter(prefix="/v1", dependencies=[MayChat], tags=["feedback"])


class Given(BaseModel):
    """The body of POST /v1/feedback."""

    model_config = ConfigDict(extra="forbid")

    episode: Name = Field(min_length=1, max_length=64)
    """`perennial.episode` of the answer."""
    rating: Rating
    correction: Text | None = Field(default=None, max_length=MAX_CORRECTION)
    """What the answer should have been."""


@router.post("/feedback", responses=refusals(404))
def feedback(body: Given, state: State, caller: Chatting) -> Feedback:
    """Store what is said, in place of what was said before; 404 for an unknown episode, as which
    another tenant's counts."""
    if caller.tenant and state.store.episodes.get(body.episode).owner != caller.tenant:
        raise no_episode(body.episode)
    said = state.store.feedback.put(body.episode, body.rating, body.correction)
    FEEDBACK.labels(body.rating).inc()
    if state.rated:
        state.rated()
    return said
