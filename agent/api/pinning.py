"""Which version a request gets, chosen once at its start. Called by the routes that ask the agent.

Loads nothing: what the engine does not hold cannot be asked.
"""

from agent.api.model_list import ALIASES, no_model
from agent.api.state import AppState


async def pinned(state: AppState, model: str, thread: str) -> str:
    """The version for `model`: of an alias the live one, or the canary for its share of threads.

    404 naming what exists when the engine does not hold it.
    """
    if model in ALIASES:
        return state.route(thread) if state.route else state.live()
    loaded = await state.engine.models()
    if model not in loaded:
        raise no_model(state, model, loaded)
    return model
