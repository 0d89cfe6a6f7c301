"""The assistant of a runtime: its agent with kept threads, and the tools it has.

Starts no engine and serves nothing. Opened by adapt.up and the command line.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from adapt.runtime import Runtime
from adapt.swap_member import Common
from adapt.toolbox import Toolbox, open_toolbox
from adapt.watch import Watch
from agent.history import USUAL
from agent.runs import Agent
from agent.threads import open_threads_of
from store.records import Episode
from store.vectors import KeptVectors
from tools.registry import Registry


@dataclass(frozen=True)
class Assistant:
    """An agent and what it works with."""

    agent: Agent
    toolbox: Toolbox
    embedder: KeptVectors
    watch: Watch
    """Told of every run; has the canary and rolls back what does harm."""

    @property
    def registry(self) -> Registry:
        """The tools that are there now: servers of tools come and go."""
        return self.toolbox.registry


@asynccontextmanager
async def open_assistant(runtime: Runtime) -> AsyncIterator[Assistant]:
    """The assistant, its threads open until the block ends. Versions in use are kept loaded."""
    store = runtime.store
    watch = Watch(runtime)

    def keep(episode: Episode) -> None:
        store.episodes.add(episode)
        watch.saw(episode)

    async with (
        open_threads_of(runtime.home) as threads,
        open_toolbox(store, runtime.settings) as toolbox,
    ):
        window = runtime.settings.engine.max_model_len
        agent = Agent(runtime.engine, runtime.settings.agent, threads, keep, window)
        runtime.swap.pinned = agent.pinned
        runtime.swap.common = Common((USUAL,), agent.always_shown(toolbox.registry))
        await watch.start()
        try:
            yield Assistant(
                agent, toolbox, KeptVectors(store.embedder, runtime.home.vectors), watch
            )
        finally:
            await watch.stop()
