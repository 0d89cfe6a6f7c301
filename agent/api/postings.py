"""A document as it is posted: what POST /documents takes, and what is taken in above this layer.

Called by agent.api.documents and adapt.posting.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.api.text import Text


class Posting(BaseModel):
    """A document as it is posted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(min_length=1, max_length=2000, pattern=r"^[^\x00-\x1f\x7f]+$")
    """What it is known by: posted again, it is another edition."""
    text: str
    """One that is binary is refused by itself, and not the request."""
    title: Text = Field(default="", max_length=500)
    kind: Literal["prose", "api"] = "prose"
    licence: Text | None = Field(default=None, max_length=200)
    published_at: datetime | None = None
