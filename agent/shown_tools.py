"""Which tools the model sees in a run, and how much of each. Called by `agent.runs`."""

import asyncio

from agent.history import Wire
from agent.prompts import names_only
from agent.state import Shown
from store.errors import ConfigError
from tools.registry import Embedder, Registry


def always_shown(registry: Registry, shown: Shown, top_k: int) -> list[Wire]:
    """The tools that every conversation begins with; none where they follow the question."""
    specs = registry.specs()
    if shown == "names":
        return [names_only(spec.function()) for spec in specs]
    if shown == "retrieved" and len(specs) > top_k:
        return []
    return [spec.function() for spec in specs]


async def shown_tools(
    registry: Registry, shown: Shown, question: str, top_k: int, embedder: Embedder | None
) -> list[Wire]:
    """The tools as the model sees them. ConfigError for `retrieved` without an embedder."""
    if shown != "retrieved" or len(registry.specs()) <= top_k:
        return always_shown(registry, shown, top_k)
    if embedder is None:
        raise ConfigError(
            "tools_shown = 'retrieved' needs an embedder", "pass one, or show 'schemas'"
        )
    nearest = await asyncio.to_thread(registry.retrieve, question, top_k, embedder)
    return [spec.function() for spec in nearest]
