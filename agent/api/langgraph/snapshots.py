"""What LangGraph says of threads and runs, as JSON: states, tasks, checkpoints, interrupts.

Threads have the names here that their owners know them by. Pure functions, called by the routes
of this package.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Interrupt, PregelTask, StateSnapshot

from agent.api.langgraph.messages import Json, to_langchain
from agent.state import Asked

_STATE = ("messages", "version")
"""What of a thread's state clients see; the rest is the assistant's own business."""


def values_of(state: Mapping[str, Any]) -> Json:
    """A thread's values, its messages in LangChain's shape."""
    shown: Json = {name: state[name] for name in _STATE if name in state}
    if "messages" in shown:
        shown["messages"] = to_langchain(shown["messages"])
    if stops := state.get("__interrupt__"):
        shown["__interrupt__"] = interrupts_of(stops)
    return shown


def interrupts_of(stops: Sequence[Interrupt | Asked]) -> list[Json]:
    """What is asked."""
    return [{"id": stop.id, "value": plain(stop.value)} for stop in stops]


def thread_state(snapshot: StateSnapshot, thread: str) -> Json:
    """A state of the thread that its owner calls `thread`."""
    at = checkpoint_of(snapshot.config, thread)
    before = checkpoint_of(snapshot.parent_config, thread)
    return {
        "values": values_of(snapshot.values),
        "next": list(snapshot.next),
        "tasks": [_task(task) for task in snapshot.tasks],
        "metadata": plain(snapshot.metadata or {}),
        "created_at": snapshot.created_at,
        "checkpoint": at,
        "parent_checkpoint": before,
        "interrupts": interrupts_of(snapshot.interrupts),
        "checkpoint_id": at and at["checkpoint_id"],
        "parent_checkpoint_id": before and before["checkpoint_id"],
    }


def checkpoint_of(config: RunnableConfig | Mapping[str, Any] | None, thread: str) -> Json | None:
    """Which checkpoint a configuration names; None where it names none."""
    named = (config or {}).get("configurable") or {}
    if not named.get("checkpoint_id"):
        return None
    return {
        "thread_id": thread,
        "checkpoint_ns": named.get("checkpoint_ns", ""),
        "checkpoint_id": named["checkpoint_id"],
        "checkpoint_map": None,
    }


def _task(task: PregelTask) -> Json:
    return {
        "id": task.id,
        "name": task.name,
        "path": [str(part) for part in task.path],
        "error": None if task.error is None else str(task.error),
        "interrupts": interrupts_of(task.interrupts),
        "checkpoint": None,
        "state": None,
        "result": plain(task.result),
    }


def plain(value: Any, thread: str = "") -> Any:
    """Anything of LangGraph's as JSON; whatever looks like a state or an update is shown so."""
    if isinstance(value, Interrupt):
        return interrupts_of([value])[0]
    if isinstance(value, Mapping):
        if "messages" in value and isinstance(value["messages"], list):
            return values_of(value)
        if "configurable" in value:
            return {"configurable": checkpoint_of(value, thread) or {"thread_id": thread}}
        return {str(key): plain(item, thread) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, thread) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value), thread)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
