"""What this protocol answers with, for the OpenAPI document. Filled by this package's routes."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from store.thread_runs import RunStatus
from store.threads import Status

Json = dict[str, Any]


class AssistantAnswer(BaseModel):
    """A version that can be asked, or whatever is live."""

    assistant_id: str
    graph_id: str
    name: str
    description: str | None
    config: Json
    context: Json
    metadata: Json
    version: int
    created_at: datetime
    updated_at: datetime


class InterruptAnswer(BaseModel):
    """What a thread's last run asks."""

    id: str
    value: Any


class ThreadAnswer(BaseModel):
    """A thread with its last state; with `select` only what was named."""

    thread_id: str
    created_at: datetime | None = None
    updated_at: datetime | None = None
    metadata: Json | None = None
    status: Status | None = None
    config: Json | None = None
    values: Json | None = None
    interrupts: dict[str, list[InterruptAnswer]] | None = None


class CheckpointAnswer(BaseModel):
    """Which state of a thread."""

    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str
    checkpoint_map: Json | None


class StateAnswer(BaseModel):
    """One state of a thread; with `select` only what was named."""

    values: Json | None = None
    next: list[str] | None = None
    tasks: list[Json] | None = None
    metadata: Json | None = None
    created_at: str | None = None
    checkpoint: CheckpointAnswer | None = None
    parent_checkpoint: CheckpointAnswer | None = None
    interrupts: list[InterruptAnswer] | None = None
    checkpoint_id: str | None = None
    parent_checkpoint_id: str | None = None


class StateChanged(BaseModel):
    """The state after a change."""

    checkpoint: CheckpointAnswer | None


class RunAnswer(BaseModel):
    """A run."""

    run_id: str
    thread_id: str
    assistant_id: str
    created_at: datetime
    updated_at: datetime
    status: RunStatus
    metadata: Json
    multitask_strategy: str
    error: str


class ItemAnswer(BaseModel):
    """An item."""

    namespace: list[str]
    key: str
    value: Json
    created_at: datetime
    updated_at: datetime


class ItemsAnswer(BaseModel):
    """Items, the latest first."""

    items: list[ItemAnswer]


class NamespacesAnswer(BaseModel):
    """Namespaces that hold something."""

    namespaces: list[list[str]]


class Pruned(BaseModel):
    """How many threads were deleted."""

    pruned_count: int


class Exported(BaseModel):
    """All that is kept of a thread."""

    thread: Json
    states: list[StateAnswer]
    runs: list[Json]
    episodes: list[Json]
    """What was asked and answered, run by run."""
    feedback: list[Json]


class Info(BaseModel):
    """What this server is."""

    version: str
    flags: dict[str, bool]
