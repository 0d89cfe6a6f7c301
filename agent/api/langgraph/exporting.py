"""All that is kept of a thread, as one JSON value: for its owner, and for whoever has the home.

Reads alone. Called by the routes of threads and by `perennial threads export`.
"""

import asyncio
from typing import Any

from agent.api.langgraph.snapshots import thread_state
from agent.thread_states import ThreadStates
from store.store import Store
from store.threads import Thread

_ALL = 1_000_000


async def export_of(
    store: Store, states: ThreadStates, thread: Thread, shown: str
) -> dict[str, Any]:
    """Every state, run and episode of a thread that its owner calls `shown`, the latest first, and
    what was said of the episodes."""
    found = await states.history(thread.name, None)
    runs = await asyncio.to_thread(store.runs.list, thread.name, _ALL)
    episodes = await asyncio.to_thread(store.episodes.of_thread, thread.name, _ALL)
    said = [await asyncio.to_thread(store.feedback.get, episode.id) for episode in episodes]
    return {
        "thread": {
            "thread_id": shown,
            "status": thread.status,
            "metadata": thread.tags,
            "created_at": thread.created_at.isoformat(),
            "updated_at": thread.updated_at.isoformat(),
        },
        "states": [thread_state(state, shown) for state in found],
        "runs": [run.model_dump(mode="json", exclude={"thread"}) for run in runs],
        "episodes": [episode.model_dump(mode="json", exclude={"thread"}) for episode in episodes],
        "feedback": [one.model_dump(mode="json", exclude={"thread"}) for one in said if one],
    }
