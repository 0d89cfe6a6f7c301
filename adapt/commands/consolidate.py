"""`perennial consolidate`: whole weights take the live version's place, here or in the server."""

import asyncio
from typing import Any

from adapt.commands import Options
from adapt.consolidate import consolidate as run
from adapt.consolidate import source_of, told
from adapt.running import find_running
from adapt.runtime import open_runtime
from adapt.show import CycleView, stderr
from agent.config import Settings


def consolidate(options: Options) -> int:
    """Merge, swap, choose the rows anew. Errors are those of adapt.consolidate."""
    settings = options.settings()
    with options.read_store() as store:
        if find_running(settings) is None:
            source_of(store)  # an engine takes half a minute to start, to say the same
    try:
        done = asyncio.run(_consolidate(settings))
    except KeyboardInterrupt:
        here = find_running(settings) is None
        stderr().print(
            "stopped; the next `perennial consolidate` goes on"
            if here
            else "no longer watched; the server goes on: perennial versions"
        )
        raise
    options.put(
        done,
        f"{done['live']} is live: {done['previous']} as whole weights. The next updates are "
        "trained on them, with all their rows free",
    )
    return 0


async def _consolidate(settings: Settings) -> dict[str, Any]:
    running = find_running(settings)
    with CycleView() as view:
        if running is not None:
            view.moving("the server makes whole weights")
            return await running.consolidate()
        async with open_runtime(settings, view.engine) as runtime:
            view.still()
            return told(await run(runtime, view.notify))
