"""What requests of the protocol may hold. Fields that the clients know and that change nothing here
are passed over; those that would change the answer and cannot be honoured are refused.

Parsed by the routes of this package.
"""

from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from agent.api.text import Name, readable
from store.threads import Status

Json = dict[str, Any]
ThreadName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:@-]+$", max_length=160)]
"""What a thread is called in a path: another key's may be named there, and is not found."""
ThreadPath = Annotated[ThreadName, Path()]
Id = Annotated[Name, Path(max_length=255)]
Limit = Annotated[int, Field(ge=1, le=1000)]
Offset = Annotated[int, Field(ge=0, le=1_000_000_000)]


def _check(value: Any) -> None:
    """Texts anywhere inside can be kept. ValueError."""
    if isinstance(value, str):
        readable(value)
    elif isinstance(value, dict):
        for key, inside in value.items():
            readable(key)
            _check(inside)
    elif isinstance(value, list):
        for inside in value:
            _check(inside)


class Body(BaseModel):
    """What all bodies have in common: metadata and values hold text that can be kept."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    @field_validator("metadata", "value", "values", "input", "filter", check_fields=False)
    @classmethod
    def _kept(cls, value: Any) -> Any:
        _check(value)
        return value


class Checkpoint(Body):
    """Which state of a thread."""

    checkpoint_id: Name | None = None
    checkpoint_ns: Literal["", None] = None
    """There are no subgraphs."""


class ThreadBody(Body):
    """A new thread."""

    thread_id: Annotated[ThreadName, Field(max_length=128)] | None = None
    metadata: Json | None = None
    if_exists: Literal["raise", "do_nothing"] = "raise"
    supersteps: None = None
    """Threads of other servers cannot be played in."""
    ttl: None = None
    """Threads are kept until they are deleted."""


class ThreadPatch(Body):
    """Metadata to put on a thread, over what it has."""

    metadata: Json = Field(default_factory=dict)
    ttl: None = None


class ThreadSearch(Body):
    """Which threads."""

    metadata: Json | None = None
    status: Status | None = None
    ids: list[ThreadName] | None = Field(default=None, max_length=1000)
    limit: Limit = 10
    offset: Offset = 0
    sort_by: Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"] = (
        "updated_at"
    )
    sort_order: Literal["asc", "desc"] = "desc"
    select: list[str] | None = None
    values: None = None
    """Threads cannot be searched by what was said in them."""
    extract: None = None


class Prune(Body):
    """Threads to delete."""

    thread_ids: list[ThreadName] = Field(max_length=1000)
    strategy: Literal["delete"] = "delete"


class StateBody(Body):
    """A change of a thread's state."""

    values: Json | None = None
    """`messages`: put behind the thread's own, or in place of those with the same ids."""
    as_node: Literal["model", "tools", "__start__", "__end__", None] = None
    checkpoint: Checkpoint | None = None
    checkpoint_id: Name | None = None


class StateAt(Body):
    """Which state of a thread is wanted."""

    checkpoint: Checkpoint
    select: list[str] | None = None


class HistoryBody(Body):
    """Which states of a thread, the latest first."""

    limit: Limit = 10
    before: Name | Json | None = None
    """A checkpoint's id, or a checkpoint."""
    metadata: Json | None = None
    checkpoint: Checkpoint | None = None
    select: list[str] | None = None


class AssistantSearch(Body):
    """Which assistants."""

    metadata: Json | None = None
    graph_id: str | None = None
    name: str | None = None
    limit: Limit = 10
    offset: Offset = 0
    sort_by: str | None = None
    sort_order: Literal["asc", "desc"] | None = None
    select: list[str] | None = None


Label = Annotated[Name, StringConstraints(min_length=1, max_length=64, pattern=r"^[^.\x00-\x1f]+$")]
Namespace = Annotated[list[Label], Field(max_length=7)]
Key = Annotated[Name, StringConstraints(max_length=255)]


class ItemBody(Body):
    """An item to keep."""

    namespace: Namespace
    key: Key
    value: Json
    ttl: None = None
    """Items are kept until they are deleted."""


class ItemPlace(Body):
    """Which item."""

    namespace: Namespace = Field(default_factory=list)
    key: Key


class ItemSearch(Body):
    """Which items: under a namespace, with all that `filter` says in their values."""

    namespace_prefix: Namespace = Field(default_factory=list)
    filter: Json | None = None
    limit: Limit = 10
    offset: Offset = 0
    query: None = None
    """Items are not searched by meaning."""


class NamespaceSearch(Body):
    """Which namespaces."""

    prefix: Namespace | None = None
    suffix: Namespace | None = None
    max_depth: Annotated[int, Field(ge=1, le=100)] | None = None
    limit: Limit = 100
    offset: Offset = 0
