"""The worker beside the assistant: starts cycles by schedule or on request, one at a time.

The timetable keeps the time; the worker decides whether there is anything to do, and takes over
what another process that died has left. It knows nothing of what a cycle does. Lives on the
server's event loop. Called by adapt.up.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from adapt.ahead import prepare
from adapt.backlog import waiting
from adapt.canary import refuse_while_trying
from adapt.cycle import run_cycle
from adapt.events import Event, Notify, silent
from adapt.runtime import Runtime
from adapt.worker_run import RunCycle, run_alone
from adapt.worker_sources import SourcesAtWork
from adapt.worker_timetable import Timetable, in_words, trigger_of
from adapt.worker_waiting import Surroundings, Waiting
from store.errors import BusyError, PerennialError, StateError

__all__ = ["Worker", "in_words", "trigger_of"]

log = logging.getLogger(__name__)

CARE_S = 60.0
"""How often the worker looks after its clock and after what others left."""

Prepare = Callable[[Runtime], Awaitable[None]]


class Worker:
    """Runs cycles in the background of one runtime."""

    def __init__(
        self,
        runtime: Runtime,
        notify: Notify = silent,
        cycle: RunCycle = run_cycle,
        ahead: Prepare = prepare,
        around: Surroundings | None = None,
        care_s: float = CARE_S,
    ) -> None:
        self._runtime = runtime
        self._notify = notify
        self._cycle = cycle
        self._ahead = ahead
        self._care_s = care_s
        self._preparing: asyncio.Task[None] | None = None
        self._caring: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._number = 0
        self._last: Event | None = None
        self._sources = SourcesAtWork(runtime, lambda: self.running)
        self._waiting = Waiting(runtime, around or Surroundings())
        schedule = runtime.settings.schedule
        self._timetable = Timetable(runtime.home.path / "schedule.db", schedule, self.tick)

    def start(self) -> None:
        """Finish the cycle that an earlier process left, if any, and begin the schedule."""
        if self._runtime.store.cycles.unfinished() is not None:
            self.begin()
        else:
            self._prepare()
        self._timetable.start()
        self._sources.start()
        self._caring = asyncio.create_task(self._care(), name="care")

    async def stop(self) -> None:
        """Start nothing more and stop the running cycle, which can be resumed. Idempotent."""
        await self._timetable.stop()
        await self._sources.stop()
        for task in (self._caring, self._task, self._preparing):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._caring = self._task = self._preparing = None

    def begin(self) -> int:
        """Start a cycle, or go on with an unfinished one, and return its number at once.

        StateError while one is running, or a canary is tried. When another process runs one on
        the same database, that one's number is returned and none is started.
        """
        if self.running:
            raise StateError("an update is running", "wait for it: perennial cycles")
        cycles = self._runtime.store.cycles
        unfinished = cycles.unfinished()
        if unfinished is None:
            refuse_while_trying(self._runtime.store)
        newest = next(cycles.newest_first(), None)
        number = unfinished.number if unfinished else (newest.number if newest else 0) + 1
        self._last, self._waiting.elsewhere = None, ""
        if self._preparing is not None:
            # The cycle makes what is missing itself; twice at once would take twice the memory.
            self._preparing.cancel()
            self._preparing = None
        self._number = number
        self._task = asyncio.create_task(self._run(), name=f"cycle-{number}")
        return number

    async def tick(self) -> str:
        """What the schedule does each time: a cycle when there is reason for one.

        Returns what was done, in a word: `busy` (a cycle is at work here or elsewhere), `trying` (a
        canary), `waiting` (`report` says for what), `nothing`, `ran`.
        """
        if self.running:
            return "busy"
        if self._runtime.store.trials.canary() is not None:
            return "trying"
        if self._waiting.after_failures() is not None:
            return "waiting"
        await self._sources.gather()
        new = await asyncio.to_thread(waiting, self._runtime.store)
        if new < self._runtime.settings.schedule.min_new_documents:
            if self._waiting.after_refusals() is not None:
                return "waiting"
            if not await asyncio.to_thread(self._waiting.to_retry):
                self._prepare()
                return "nothing"
        if self.running:
            return "busy"
        if self._waiting.for_disk() is not None:
            return "waiting"
        self.begin()
        assert self._task is not None
        # Waiting here makes APScheduler count the cycle as this job's one instance. Shielded: a
        # scheduler that is shut down must not cancel the cycle behind our back.
        await asyncio.shield(self._task)
        return "busy" if self._waiting.elsewhere else "ran"

    @property
    def running(self) -> bool:
        """Whether a cycle is at work in this process."""
        at_work = self._task is not None and not self._task.done()
        return at_work or self._runtime.cycle_lock.locked()

    def report(self) -> dict[str, Any]:
        """What the worker is doing, as JSON: `waiting` says why it starts nothing, in words."""
        next_run = self._timetable.next()
        running = self.running
        event = self._last if running else None
        progress = {"stage": event.stage.value, "done": event.done, "total": event.total,
                    "text": event.text} if event else None  # fmt: skip
        wait = None if running else self._waiting.reason()
        return {
            "schedule": in_words(self._runtime.settings.schedule),
            "next": next_run.isoformat() if next_run else None,
            # From the moment that it was begun: it has no record yet then.
            "running": self._number if running else None,
            "progress": progress,
            "waiting": wait.why if wait else None,
            "waiting_until": wait.until.isoformat() if wait and wait.until else None,
        }

    async def _care(self) -> None:
        """For ever: keep the timetable right, and take over a cycle that nobody works on."""
        while True:
            await asyncio.sleep(self._care_s)
            self._timetable.mend()
            try:
                if not self.running and self._runtime.store.cycles.unfinished() is not None:
                    self.begin()
            except PerennialError:
                log.warning("what another process left could not be looked at", exc_info=True)

    def _prepare(self) -> None:
        """Make ahead what the next cycle needs, where there will be one; never twice at once."""
        if self._preparing is None and self._runtime.store.sources.list():
            self._preparing = asyncio.create_task(self._make_ahead(), name="ahead")

    async def _make_ahead(self) -> None:
        try:
            await self._ahead(self._runtime)
        except Exception:
            # Not tried again before the next cycle, which meets the same fault and names it.
            log.warning("what the next update needs could not be made ahead", exc_info=True)

    async def _run(self) -> None:
        async with self._runtime.cycle_lock:
            try:
                await run_alone(self._runtime, self._watch, self._cycle)
            except BusyError as error:
                self._waiting.elsewhere = f"another process runs updates: {error.message}"
            except Exception:
                log.exception("an update broke")
        self._prepare()

    def _watch(self, event: Event) -> None:
        self._last = event
        self._notify(event)
