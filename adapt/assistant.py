"""The assistant of a runtime: its agent with kept threads, and the tools it has.

Starts no engine and serves nothing. Opened by adapt.up and the command line.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from adapt.runtime import Runtime
from adapt.swap_member import Common
from adapt.watch import Watch
from agent.history import USUAL
from agent.runs import Agent
from agent.threads import open_threads_of
from store import Store
from store.records import Episode
from store.vectors import KeptVectors
from tools.calculate import Calculate
from tools.registry import Embedder, Registry
from tools.search import SearchDocuments
from tools.virtual import Sessions, virtual_tools
from tools.virtual_api.catalogue import build_catalogue

UNIVERSE_SEED = 0
"""The published universe: the one that the embedded model's tasks are about."""


@dataclass(frozen=True)
class Assistant:
    """An agent and what it works with."""

    agent: Agent
    registry: Registry
    embedder: Embedder
    watch: Watch
    """Told of every run; has the canary and rolls back what does harm."""


def toolbox(store: Store) -> Registry:
    """The universe's APIs (each thread has a world of its own), search, arithmetic."""
    catalogue = build_catalogue(UNIVERSE_SEED)
    tools = virtual_tools(catalogue, Sessions(catalogue))
    return Registry([SearchDocuments(store.documents), Calculate(), *tools])


@asynccontextmanager
async def open_assistant(runtime: Runtime) -> AsyncIterator[Assistant]:
    """The assistant, its threads open until the block ends. Versions in use are kept loaded."""
    store = runtime.store
    watch = Watch(runtime)

    def keep(episode: Episode) -> None:
        store.episodes.add(episode)
        watch.saw(episode)

    async with open_threads_of(runtime.home) as threads:
        window = runtime.settings.engine.max_model_len
        agent = Agent(runtime.engine, runtime.settings.agent, threads, keep, window)
        registry = toolbox(store)
        runtime.swap.pinned = agent.pinned
        runtime.swap.common = Common((USUAL,), agent.always_shown(registry))
        await watch.start()
        try:
            yield Assistant(
                agent, registry, KeptVectors(store.embedder, runtime.home.vectors), watch
            )
        finally:
            await watch.stop()
