"""Which version a request gets, chosen once at its start. Called by the routes that ask the agent.

Loads nothing: what the engine does not hold cannot be asked.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.api.model_list import ALIASES, no_model
from agent.api.state import AppState


@asynccontextmanager
async def pinned(state: AppState, model: str, thread: str) -> AsyncIterator[str]:
    """The version for `model`: of an alias the live one, or the canary for its share of threads.

    It counts as in use until the block ends, so that no swap unloads it before the run begins,
    which has it pinned from then on. 404 naming what exists when the engine does not hold it.
    """
    if model in ALIASES:
        version = state.route(thread) if state.route else state.live()
    else:
        loaded = await state.engine.models()
        if model not in loaded:
            raise no_model(state, model, loaded)
        version = model
    with state.agent.holding(version):
        yield version
