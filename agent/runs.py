"""Runs of the agent: from messages to an answer, every model call on one pinned version.

Which version that is, the caller says (it reads the live alias once). An engine fault is part of
the result, not an exception. Called by the HTTP API, the command line and adapt.evals.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from uuid import uuid4
from weakref import WeakValueDictionary

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from agent.config_sections import AgentSettings
from agent.engine import Sampling
from agent.fleet import Inference
from agent.graph import Graph, build_graph
from agent.history import Wire, last_question, to_records, to_wire, with_system
from agent.prompts import names_only
from agent.state import AgentState, Done, Event, RunContext, RunResult, Shown, Trace
from agent.threads import explaining
from store.errors import ConfigError
from store.records import Episode, Message, utc_now
from tools.registry import Embedder, Registry

Input = Sequence[Message | Mapping[str, Any]]
"""Records, or messages in OpenAI's shape."""

_plain_graph = cache(build_graph)


@dataclass(frozen=True)
class Options:
    """What one run may set differently. None means the agent's settings."""

    max_tokens: int | None = None
    sampling: Sampling | None = None
    named: bool = False
    """Whether the client named the version, rather than take what all get."""
    owner: str | None = None
    """Id of the key that asked, where it is a tenant's."""


class Agent:
    """Runs conversations on one engine. Belongs to one event loop.

    With a `checkpointer` (agent.threads) a run with a `thread` goes on from what the thread holds.
    `on_episode` gets every finished run and is called in a worker thread.
    """

    def __init__(
        self,
        engine: Inference,
        settings: AgentSettings,
        checkpointer: BaseCheckpointSaver[Any] | None = None,
        on_episode: Callable[[Episode], None] | None = None,
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.keeps_threads = checkpointer is not None
        self._graph = build_graph(checkpointer) if checkpointer else _plain_graph()
        self._on_episode = on_episode
        self.mixed_runs = 0
        """Runs that more than one version answered; a mistake of ours when not 0."""
        self._pinned: Counter[str] = Counter()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def pinned(self) -> set[str]:
        """Versions that runs now under way are bound to."""
        return set(self._pinned)

    async def run(
        self,
        messages: Input,
        registry: Registry,
        model: str,
        thread: str | None = None,
        shown: Shown = "schemas",
        embedder: Embedder | None = None,
        options: Options = Options(),
    ) -> RunResult:
        """Answer the conversation with `model`; with a kept thread, `messages` are what is new.

        Raises ConfigError for `retrieved` without an embedder. Engine faults are in the result.
        """
        with self._pin(model):
            context = await self._context(
                messages, registry, model, thread, shown, embedder, options, streaming=False
            )
            async with self._thread(thread) as (graph, config, extra):
                state = await graph.ainvoke(_input(messages), config, context=context, **extra)
            held = cast(AgentState, state)["messages"]
            return await self._finish(context, thread, held, options)

    async def stream(
        self,
        messages: Input,
        registry: Registry,
        model: str,
        thread: str | None = None,
        shown: Shown = "schemas",
        embedder: Embedder | None = None,
        options: Options = Options(),
    ) -> AsyncGenerator[Event, None]:
        """The same run as events, Done last. Closing it early stops the engine's work."""
        with self._pin(model):
            context = await self._context(
                messages, registry, model, thread, shown, embedder, options, streaming=True
            )
            held: list[Wire] = []
            async with self._thread(thread) as (graph, config, extra):
                # Declared as an iterator of any of LangGraph's stream modes.
                events: Any = graph.astream(
                    _input(messages), config, context=context,
                    stream_mode=["custom", "values"], **extra,
                )  # fmt: skip
                async with aclosing(events):
                    async for mode, item in events:
                        if mode == "custom":
                            yield item
                        else:
                            held = item["messages"]
            yield Done(await self._finish(context, thread, held, options))

    @contextmanager
    def _pin(self, model: str) -> Iterator[None]:
        self._pinned[model] += 1
        try:
            yield
        finally:
            self._pinned[model] -= 1
            self._pinned += Counter()  # drops the zeros

    @asynccontextmanager
    async def _thread(
        self, thread: str | None
    ) -> AsyncGenerator[tuple[Graph, RunnableConfig, dict[str, Any]], None]:
        """The graph to run on, alone on its thread: two runs at once would mix their turns."""
        # Two supersteps for each model call, one for the input.
        config: RunnableConfig = {"recursion_limit": 2 * self.settings.max_steps + 2}
        if not (self.keeps_threads and thread):
            yield _plain_graph(), config, {}
            return
        lock = self._locks.setdefault(thread, asyncio.Lock())
        async with lock:
            config["configurable"] = {"thread_id": thread}
            with explaining():
                # One checkpoint a run: an unfinished turn is dropped when the thread goes on.
                yield self._graph, config, {"durability": "exit"}

    async def _context(
        self, messages: Input, registry: Registry, model: str, thread: str | None, shown: Shown,
        embedder: Embedder | None, options: Options, *, streaming: bool,
    ) -> RunContext:  # fmt: skip
        settings = self.settings
        return RunContext(
            engine=self.engine,
            registry=registry,
            model=model,
            thread=thread or uuid4().hex,
            tools=await self._shown(last_question(to_wire(messages)), registry, shown, embedder),
            max_steps=settings.max_steps,
            max_tokens=options.max_tokens or settings.max_tokens,
            sampling=options.sampling or {"temperature": settings.temperature},
            streaming=streaming,
            trace=Trace(load=self._pinned.total()),
        )

    def always_shown(self, registry: Registry) -> list[Wire]:
        """The tools that every conversation begins with; none where they follow the question."""
        specs, shown = registry.specs(), self.settings.tools_shown
        if shown == "names":
            return [names_only(spec.function()) for spec in specs]
        few = len(specs) <= self.settings.top_k
        return [spec.function() for spec in specs] if shown == "schemas" or few else []

    async def _shown(
        self, question: str, registry: Registry, shown: Shown, embedder: Embedder | None
    ) -> list[Wire]:
        """The tools as the model sees them."""
        specs = registry.specs()
        if shown == "names":
            return [names_only(spec.function()) for spec in specs]
        if shown == "retrieved" and len(specs) > self.settings.top_k:
            if embedder is None:
                raise ConfigError(
                    "tools_shown = 'retrieved' needs an embedder", "pass one, or show 'schemas'"
                )
            specs = await asyncio.to_thread(
                registry.retrieve, question, self.settings.top_k, embedder
            )
        return [spec.function() for spec in specs]

    async def _finish(
        self, context: RunContext, thread: str | None, messages: list[Wire], options: Options
    ) -> RunResult:
        """Make the result and hand over the episode."""
        trace = context.trace
        last = messages[-1] if messages else {"role": ""}
        answered = trace.fault is None and last["role"] == "assistant"
        result = RunResult(
            version=context.model,
            answer=last["content"] if answered else "",
            messages=to_records(with_system(messages)),
            steps=trace.steps,
            models=tuple(trace.models),
            error=str(trace.fault) if trace.fault else None,
            fault=trace.fault,
            id=uuid4().hex,
            finish_reason=trace.finish_reason or "stop",
            prompt_tokens=trace.prompt_tokens,
            completion_tokens=trace.completion_tokens,
            malformed=trace.malformed,
            citations=tuple(trace.citations),
        )
        self.mixed_runs += len(result.models) > 1
        if self._on_episode:
            episode = _episode(result, trace, thread or result.id, options)
            await asyncio.to_thread(self._on_episode, episode)
        return result


def _input(messages: Input) -> AgentState:
    return {"messages": to_wire(messages)}


def _episode(result: RunResult, trace: Trace, thread: str, options: Options) -> Episode:
    return Episode(
        id=result.id,
        thread=thread,
        version=result.version,
        messages=result.messages,
        steps=result.steps,
        error=result.error,
        created_at=utc_now(),
        seconds=round(trace.seconds, 6),
        tokens=trace.completion_tokens,
        load=trace.load,
        tool_calls=trace.tool_calls,
        tool_errors=trace.tool_errors,
        malformed=trace.malformed,
        empty=result.error is None and not result.answer.strip(),
        citations=result.citations,
        named=options.named,
        owner=options.owner,
    )
