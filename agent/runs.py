"""Runs of the agent: from messages to an answer, every model call on one pinned version.

Which version that is, the caller says (it reads the live alias once). An engine fault is part of
the result, not an exception. Called by the HTTP API, the command line and adapt.evals.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import cache
from typing import Any, cast
from uuid import uuid4
from weakref import WeakValueDictionary

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Command, Interrupt

from agent.config_sections import AgentSettings
from agent.fleet import Inference
from agent.graph import Graph, build_graph
from agent.history import Wire, last_question, to_wire, with_ids
from agent.options import USUAL_OPTIONS, Options
from agent.results import episode_of, result_of
from agent.shown_tools import always_shown, shown_tools
from agent.state import (
    AgentState,
    Asked,
    Done,
    Event,
    Part,
    Resume,
    RunContext,
    RunResult,
    Shown,
    Trace,
    Waiting,
)
from agent.telemetry.runs import SeenRun, seen_run
from agent.thread_states import ThreadStates, config_of
from agent.threads import explaining
from agent.window import Window
from store.errors import StateError
from store.records import Episode, Message
from tools.registry import Embedder, Registry

Input = Sequence[Message | Mapping[str, Any]] | Resume
"""Records, messages in OpenAI's shape, or what lets a run that stopped go on."""

_plain_graph = cache(build_graph)


class Agent:
    """Runs conversations on one engine. Belongs to one event loop.

    With a `checkpointer` (agent.threads) a run with a `thread` goes on from what the thread holds.
    `on_episode` gets every run that has ended and is called in a worker thread. `window` is the
    model's: with it, what is too long is shortened before the engine refuses it.
    """

    def __init__(
        self,
        engine: Inference,
        settings: AgentSettings,
        checkpointer: BaseCheckpointSaver[Any] | None = None,
        on_episode: Callable[[Episode], None] | None = None,
        window: int | None = None,
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.keeps_threads = checkpointer is not None
        self._graph = build_graph(checkpointer) if checkpointer else _plain_graph()
        self._states = ThreadStates(self._graph, checkpointer) if checkpointer else None
        self._on_episode = on_episode
        self._window = Window(window)
        self.mixed_runs = 0
        """Runs that more than one version answered; a mistake of ours when not 0."""
        self._pinned: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def states(self) -> ThreadStates:
        """What the kept threads hold. StateError where none are kept."""
        if self._states is None:
            raise StateError("threads are not kept here", "start the server with `perennial up`")
        return self._states

    def pinned(self) -> set[str]:
        """Versions that runs now under way, or about to begin, are bound to."""
        return set(self._pinned) | set(self._held)

    @contextmanager
    def holding(self, model: str) -> Iterator[None]:
        """Inside, a version counts as pinned: for who chose it and begins the run in a task."""
        self._held[model] += 1
        try:
            yield
        finally:
            self._held[model] -= 1
            self._held += Counter()  # drops the zeros

    async def run(
        self,
        messages: Input,
        registry: Registry,
        model: str,
        thread: str | None = None,
        shown: Shown = "schemas",
        embedder: Embedder | None = None,
        options: Options = USUAL_OPTIONS,
    ) -> RunResult:
        """Answer the conversation with `model`; with a kept thread, `messages` are what is new.

        Raises ConfigError for `retrieved` without an embedder. Engine faults are in the result.
        """
        with self._pin(model) as seen:
            context = await self._context(
                messages, registry, model, thread, shown, embedder, options, seen, streaming=False
            )
            async with self._thread(thread, context, options) as (graph, config, extra):
                state = await graph.ainvoke(
                    _input(messages, model), config, context=context, **extra
                )
            return await self._finish(context, thread, cast(AgentState, state), options)

    async def stream(
        self,
        messages: Input,
        registry: Registry,
        model: str,
        thread: str | None = None,
        shown: Shown = "schemas",
        embedder: Embedder | None = None,
        options: Options = USUAL_OPTIONS,
    ) -> AsyncGenerator[Event, None]:
        """The same run as events, Done last. Closing it early stops the engine's work."""
        with self._pin(model) as seen:
            context = await self._context(
                messages, registry, model, thread, shown, embedder, options, seen, streaming=True
            )
            held: Any = {"messages": []}
            async with self._thread(thread, context, options) as (graph, config, extra):
                # Declared as an iterator of any of LangGraph's stream modes.
                events: Any = graph.astream(
                    _input(messages, model), config, context=context,
                    stream_mode=["custom", *{"values", *options.modes}], **extra,
                )  # fmt: skip
                async with aclosing(events):
                    async for mode, item in events:
                        if mode == "custom":
                            yield item
                            continue
                        if mode == "values":
                            held = item
                        if mode in options.modes:
                            yield Part(mode, item)
            yield Done(await self._finish(context, thread, held, options))

    async def waiting(self, thread: str) -> Waiting | None:
        """What a kept thread's last run stopped for; None where it came to its end."""
        if self._states is None:
            return None
        state = await self._states.get(thread)
        if not state.next:
            return None
        asked = tuple(Asked(i.id, i.value) for i in state.interrupts)
        return Waiting(state.values.get("version", ""), asked)

    @contextmanager
    def _pin(self, model: str) -> Iterator[SeenRun]:
        self._pinned[model] += 1
        try:
            with seen_run(model) as seen:
                yield seen
        finally:
            self._pinned[model] -= 1
            self._pinned += Counter()  # drops the zeros

    @asynccontextmanager
    async def _thread(
        self, thread: str | None, context: RunContext, options: Options
    ) -> AsyncGenerator[tuple[Graph, RunnableConfig, dict[str, Any]], None]:
        """The graph to run on, alone on its thread: two runs at once would mix their turns."""
        # Two supersteps for each model call, one for the input.
        config: RunnableConfig = {"recursion_limit": 2 * self.settings.max_steps + 2}
        if not (self.keeps_threads and thread):
            yield _plain_graph(), config, {}
            return
        lock = self._locks.setdefault(thread, asyncio.Lock())
        async with lock:
            config |= config_of(thread, options.checkpoint)
            config["metadata"] = {"run_id": context.id, "version": context.model}
            extra: dict[str, Any] = {
                # By itself one checkpoint a run: an unfinished turn is dropped when the thread
                # goes on.
                "durability": "async" if options.every_step else "exit",
                "interrupt_before": options.stop_before,
                "interrupt_after": options.stop_after,
            }
            with explaining():
                yield self._graph, config, extra

    async def _context(
        self, messages: Input, registry: Registry, model: str, thread: str | None, shown: Shown,
        embedder: Embedder | None, options: Options, seen: SeenRun, *, streaming: bool,
    ) -> RunContext:  # fmt: skip
        settings = self.settings
        run_id, named = options.run_id or uuid4().hex, thread or uuid4().hex
        seen.identified(run_id, named)
        return RunContext(
            engine=self.engine,
            registry=registry,
            model=model,
            thread=named,
            tools=await shown_tools(
                registry, shown, await self._question(messages, thread), settings.top_k, embedder
            ),
            max_steps=settings.max_steps,
            max_tokens=options.max_tokens or settings.max_tokens,
            sampling=options.sampling or {"temperature": settings.temperature},
            streaming=streaming,
            trace=Trace(load=self._pinned.total()),
            answer_format=options.answer_format,
            seen=seen,
            id=run_id,
            window=self._window,
            summarises=settings.long_threads == "summarise",
            confirms=options.confirms and self.keeps_threads and thread is not None,
        )

    async def _question(self, messages: Input, thread: str | None) -> str:
        """What the run is about: the last that a person said."""
        if not isinstance(messages, Resume):
            return last_question(to_wire(messages))
        if self._states is None or thread is None:
            return ""
        state = await self._states.get(thread)
        return last_question(state.values.get("messages", ()))

    def always_shown(self, registry: Registry) -> list[Wire]:
        """The tools that every conversation begins with; none where they follow the question."""
        return always_shown(registry, self.settings.tools_shown, self.settings.top_k)

    async def _finish(
        self, context: RunContext, thread: str | None, state: AgentState, options: Options
    ) -> RunResult:
        """Make the result; hand over the episode of a run that has ended."""
        stops: Sequence[Interrupt] = cast(dict[str, Any], state).get("__interrupt__", ())
        asked = [Asked(stop.id, stop.value) for stop in stops]
        result = result_of(context, state["messages"], asked)
        self.mixed_runs += len(result.models) > 1
        context.seen.ended(result)
        if self._on_episode and not result.stopped:
            episode = episode_of(result, context.trace, thread or result.id, options)
            await asyncio.to_thread(self._on_episode, episode)
        return result


def _input(messages: Input, model: str) -> AgentState | Command[Any]:
    if isinstance(messages, Resume):
        update: dict[str, Any] = {"version": model}
        if messages.messages:
            update["messages"] = with_ids(messages.messages)
        return Command(update=update, resume=messages.value)
    return {"messages": with_ids(to_wire(messages)), "version": model}
