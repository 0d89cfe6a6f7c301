"""What threads hold, read and changed outside of runs: states, history, copies, deletion.

Over LangGraph's checkpoints, whatever database they are in. Asks no model. Called by the HTTP API
and the command line.
"""

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.errors import InvalidUpdateError
from langgraph.types import StateSnapshot

from agent.graph import Graph
from agent.threads import Saver, copy_thread, explaining
from store.errors import UserError


class ThreadStates:
    """The states of all threads. `graph` has been built over `saver`."""

    def __init__(self, graph: Graph, saver: Saver) -> None:
        self._graph, self._saver = graph, saver

    async def get(self, thread: str, at: str | None = None) -> StateSnapshot:
        """A thread's last state, or that of a checkpoint; without a configured checkpoint where
        there is none."""
        with explaining():
            return await self._graph.aget_state(config_of(thread, at))

    async def history(
        self,
        thread: str,
        limit: int | None,
        before: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[StateSnapshot]:
        """A thread's states, the latest first: those before a checkpoint, and of whose metadata
        this is a part."""
        with explaining():
            states = self._graph.aget_state_history(
                config_of(thread),
                filter=dict(metadata) if metadata else None,
                before=config_of(thread, before) if before else None,
                limit=limit,
            )
            return [state async for state in states]

    async def change(
        self, thread: str, values: Mapping[str, Any] | None, node: str | None, at: str | None
    ) -> RunnableConfig:
        """Change a state as if `node` had; the configuration of the new one. UserError where that
        cannot be."""
        config = config_of(thread, at)
        try:
            with explaining():
                return await self._graph.aupdate_state(
                    config, dict(values) if values is not None else None, as_node=node
                )
        except InvalidUpdateError as error:
            raise UserError(f"the state cannot be changed so: {error}", "name as_node") from error

    async def take_back(self, thread: str, run: str) -> None:
        """Put a thread back to what it was before a run, which was its last."""
        for state in await self.history(thread, None):
            if (state.metadata or {}).get("run_id") != run:
                with explaining():
                    await self._graph.aupdate_state(state.config, None, as_node="__copy__")
                return
        await self.delete(thread)

    async def copy(self, thread: str, to: str) -> None:
        """Make another thread with the same states."""
        await copy_thread(self._saver, thread, self._saver, to)

    async def delete(self, thread: str) -> None:
        """Forget all of a thread's states."""
        with explaining():
            await self._saver.adelete_thread(thread)


def config_of(thread: str, at: str | None = None) -> RunnableConfig:
    """What LangGraph calls a thread, or one of its states."""
    named = {"thread_id": thread, "checkpoint_ns": ""}
    return {"configurable": named | ({"checkpoint_id": at} if at else {})}
