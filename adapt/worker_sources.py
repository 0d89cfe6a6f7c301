"""Sources while the assistant runs: those with times of their own, and folders that change.

What comes in so can be searched at once and waits for the next update to be learned. Sources that
another process adds, pauses or removes are noticed. It starts no update. Called by adapt.schedule.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from adapt.gather import Gathered, gather, gather_from
from adapt.gather.due import is_due
from adapt.runtime import Runtime
from store.errors import PerennialError
from store.records import utc_now
from store.source_records import Source

log = logging.getLogger(__name__)

LOOK_S = 10.0
"""How often it is looked which sources there are, and which are due."""
SETTLE_MS = 1000
"""A folder is read when nothing changed in it for so long: files are still being written."""
LONGEST_MS = 60_000
"""And after so long in any case."""


class SourcesAtWork:
    """Visits sources in the background of one runtime. `busy`: while it says so none is visited,
    since an update visits them itself."""

    def __init__(self, runtime: Runtime, busy: Callable[[], bool], look_s: float = LOOK_S) -> None:
        self._runtime = runtime
        self._busy = busy
        self._look_s = look_s
        self._task: asyncio.Task[None] | None = None
        self._watched: dict[tuple[str, str], asyncio.Task[None]] = {}

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._task = asyncio.create_task(self._rounds(), name="sources")

    async def stop(self) -> None:
        """Stop visiting; a visit under way is made again another time. Idempotent."""
        tasks = [task for task in (self._task, *self._watched.values()) if task is not None]
        self._task, self._watched = None, {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def gather(self) -> Gathered:
        """Visit all that is due, for the schedule."""
        async with self._runtime.visit_lock:
            return await gather(self._runtime.store, self._runtime.settings)

    async def _rounds(self) -> None:
        while True:
            try:
                sources = await asyncio.to_thread(self._runtime.store.sources.list)
                self._watch_over(sources)
                if any(source.schedule for source in sources) and not self._busy():
                    await self._visit_due(sources)
            except PerennialError:
                log.warning("the sources could not be looked after", exc_info=True)
            await asyncio.sleep(self._look_s)

    async def _visit_due(self, sources: list[Source]) -> None:
        last = await asyncio.to_thread(self._runtime.store.visits.last)
        now = utc_now()
        due = [s for s in sources if s.schedule and is_due(s, last.get(s.name), now)]
        if due:
            await self._visit(due)

    async def _visit(self, sources: list[Source]) -> None:
        async with self._runtime.visit_lock:
            found = await gather_from(self._runtime.store, sources, self._runtime.settings)
        for visit in found.visits:
            if visit.error:
                log.warning("source %s: %s", visit.source, visit.error)
        # Embedded now, and not by the first question about it.
        await asyncio.to_thread(self._runtime.store.documents.catch_up)

    def _watch_over(self, sources: list[Source]) -> None:
        """Have every folder that is visited at each update watched, and no other."""
        wanted = {
            (source.name, source.location): source
            for source in sources
            if source.kind == "folder" and not source.paused and source.schedule is None
        }
        for key in [key for key in self._watched if key not in wanted]:
            self._watched.pop(key).cancel()
        for key, source in wanted.items():
            task = self._watched.get(key)
            # A folder that was away is watched again once it is back.
            if (task is None or task.done()) and Path(source.location).is_dir():
                name = f"watch {source.name}"
                self._watched[key] = asyncio.create_task(self._watch(source), name=name)

    async def _watch(self, source: Source) -> None:
        from watchfiles import awatch

        try:
            async with contextlib.aclosing(
                awatch(source.location, step=SETTLE_MS, debounce=LONGEST_MS)
            ) as changes:
                async for _ in changes:
                    if not self._busy():
                        await self._visit([source])
        except (PerennialError, OSError, RuntimeError):
            log.warning("the folder %s is not watched", source.location, exc_info=True)
