"""One run of this protocol from its turn to its end, whoever listens.

Waits for the runs before it, pins the version, has the agent work, tells the stream, and says in
the store how it ended. Made by agent.api.langgraph.starting.
"""

import asyncio
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from langgraph.graph import END

from agent.api.langgraph.live import LiveRun
from agent.api.langgraph.messages import Json
from agent.api.langgraph.names import GRAPH
from agent.api.langgraph.parts import Shaper
from agent.api.langgraph.plans import Plan
from agent.api.langgraph.snapshots import values_of
from agent.api.pinning import pinned
from agent.api.state import AppState
from agent.state import Done, Resume, RunResult
from store.errors import PerennialError
from store.thread_runs import RunStatus
from store.threads import Status


class Performance:
    """One run. `before` must have ended first; `held` is let go at the end."""

    def __init__(
        self, state: AppState, live: LiveRun, plan: Plan, before: list[LiveRun],
        owner: str | None, held: AsyncExitStack,
    ) -> None:  # fmt: skip
        self._state, self._live, self._plan = state, live, plan
        self._before, self._owner, self._held = before, owner, held
        self._thread = live.record.thread
        shown = self._thread.removeprefix(f"{owner}:") if owner else self._thread
        about: Json = {
            "run_id": live.record.id, "thread_id": shown, "graph_id": GRAPH,
            "assistant_id": plan.assistant.id, "tags": [],
        }  # fmt: skip
        self._shaper = Shaper(plan.modes, shown, about)
        live.tell("metadata", {"run_id": live.record.id, "thread_id": shown, "attempt": 1})

    async def perform(self) -> None:
        """Do it. Ends normally whatever happens: how it went is told and kept."""
        status: RunStatus = "error"
        words = ""
        try:
            for run in self._before:
                await run.done.wait()
            await self._mark("running")
            async with self._state.passage():
                status = await self._work()
        except asyncio.CancelledError:
            status = "interrupted"
        except Exception as error:
            # It ends here, in the stream and in the store: nobody awaits the task.
            words = error.message if isinstance(error, PerennialError) else str(error)
            said = {"error": type(error).__name__, "message": str(error)}
            self._live.values = {"__error__": said}
            self._live.tell("error", said)
        self._live.closing = True
        await self._end(status, words)

    async def _work(self) -> RunStatus:
        plan, state = self._plan, self._state
        if plan.give_up:
            await state.agent.states.change(self._thread, None, END, None)
        head = await self._head() if self._live.kept else None
        # The last state by its name is the last state: LangGraph would play that step again.
        at = None if head and plan.at == head.checkpoint else plan.at
        stopped = head if head and head.stopped and at is None else None
        if isinstance(plan.ask, Resume) and not (stopped or at or plan.ask.messages):
            self._show(head.values if head else {})
            return "success"
        # A run goes on with the version that it began with, while that is there.
        version = stopped.version if stopped and isinstance(plan.ask, Resume) else ""
        if not version or version not in await state.engine.models():
            version = plan.settings.version or plan.assistant.model
        async with pinned(state, version, self._thread) as held:
            result = await self._run(held, at)
        if result.fault:
            raise result.fault
        return "interrupted" if result.stopped else "success"

    async def _run(self, version: str, at: str | None) -> RunResult:
        plan, state, live = self._plan, self._state, self._live
        settings = state.settings.agent
        events = state.agent.stream(
            plan.ask, state.registry(self._thread), version,
            self._thread if live.kept else None, settings.tools_shown, state.embedder,
            plan.options(live.record.id, settings.temperature, self._owner, at, kept=live.kept),
        )  # fmt: skip
        result: RunResult | None = None
        async with aclosing(events):
            async for event in events:
                for part in self._shaper.shaped(event):
                    live.tell(*part)
                if isinstance(event, Done):
                    result = event.result
        assert result is not None, live.record.id
        live.values = self._shaper.values
        return result

    async def _head(self) -> "_Head":
        last = await self._state.agent.states.get(self._thread)
        return _Head(
            (last.config.get("configurable") or {}).get("checkpoint_id"),
            bool(last.next), last.values.get("version", ""), values_of(last.values),
        )  # fmt: skip

    def _show(self, values: Json) -> None:
        self._live.values = values
        if "values" in self._plan.modes:
            self._live.tell("values", values)

    async def _mark(self, status: RunStatus, words: str = "") -> None:
        live = self._live
        if live.kept:
            live.record = await asyncio.to_thread(
                self._state.store.runs.mark, live.record, status, words
            )
        else:
            live.record = live.record.model_copy(update={"status": status, "error": words})

    async def _end(self, status: RunStatus, words: str) -> None:
        """Say how it ended, to the store and to who listens; whatever fails, say that it ended."""
        live, state = self._live, self._state
        try:
            if status == "interrupted" and live.stop == "rollback":
                await state.agent.states.take_back(self._thread, live.record.id)
            await self._mark(status, words)
            if live.kept:
                await asyncio.to_thread(
                    state.store.threads.mark, self._thread, await self._rests(status)
                )
        finally:
            await self._held.aclose()
            live.tell("end", {"run_id": live.record.id, "status": live.record.status})
            live.end()
            state.runs.left(live)

    async def _rests(self, status: RunStatus) -> Status:
        if len(self._state.runs.on(self._thread)) > 1:
            return "busy"
        if status == "error":
            return "error"
        return "interrupted" if await self._state.agent.waiting(self._thread) else "idle"


@dataclass(frozen=True)
class _Head:
    """A thread's last state."""

    checkpoint: str | None
    stopped: bool
    """Something was left to do there."""
    version: str
    values: Json
