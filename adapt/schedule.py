"""The worker beside the assistant: starts cycles by schedule or on request, one at a time.

APScheduler keeps the time; the worker decides whether there is anything to do. It knows nothing of
what a cycle does. Lives on the server's event loop. Called by adapt.up.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from adapt.ahead import prepare
from adapt.backlog import Backlog
from adapt.canary import refuse_while_trying
from adapt.cycle import run_cycle
from adapt.events import Event, Notify, silent
from adapt.runtime import Runtime
from agent.config import ScheduleSettings
from store.errors import ConfigError, StateError
from store.records import Cycle, CycleState, utc_now

log = logging.getLogger(__name__)

MISFIRE_S = 3600
"""A run that was missed by less, because the machine slept, is made up for, once."""
BACKOFF = timedelta(minutes=5)
"""Pause after a failed cycle; doubled with each further one."""
MAX_BACKOFF = timedelta(hours=6)

RunCycle = Callable[[Runtime, Notify], Awaitable[Cycle]]
Prepare = Callable[[Runtime], Awaitable[None]]


def trigger_of(schedule: ScheduleSettings) -> BaseTrigger | None:
    """When cycles start by themselves, None for never. ConfigError for a cron that is none."""
    if schedule.interval_minutes is not None:
        return IntervalTrigger(seconds=max(1, round(schedule.interval_minutes * 60)))
    if schedule.cron is None:
        return None
    try:
        return CronTrigger.from_crontab(schedule.cron)
    except ValueError as error:
        raise ConfigError(
            f"schedule.cron {schedule.cron!r} cannot be used: {error}",
            "five fields, such as '0 3 * * *' (every day at three)",
        ) from error


def in_words(schedule: ScheduleSettings) -> str:
    """The schedule as people say it."""
    if schedule.interval_minutes is not None:
        return f"every {schedule.interval_minutes:g} minutes"
    return f"by cron {schedule.cron}" if schedule.cron else "on request (perennial update)"


class Worker:
    """Runs cycles in the background of one runtime."""

    def __init__(
        self,
        runtime: Runtime,
        notify: Notify = silent,
        cycle: RunCycle = run_cycle,
        ahead: Prepare = prepare,
    ) -> None:
        self._runtime = runtime
        self._notify = notify
        self._cycle = cycle
        self._ahead = ahead
        self._preparing: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._last: Event | None = None
        self._backlog = Backlog(runtime.store, runtime.settings.update.max_document_bytes)
        self._scheduler = AsyncIOScheduler()
        self._trigger = trigger_of(runtime.settings.schedule)

    def start(self) -> None:
        """Finish the cycle that an earlier process left, if any, and begin the schedule."""
        if self._runtime.store.cycles.unfinished() is not None:
            self.begin()
        else:
            self._prepare()
        if self._trigger is not None:
            self._scheduler.add_job(
                self.tick, self._trigger, id="cycle",
                max_instances=1, coalesce=True, misfire_grace_time=MISFIRE_S,
            )  # fmt: skip
        self._scheduler.start()

    async def stop(self) -> None:
        """Start nothing more and stop the running cycle, which can be resumed. Idempotent."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        for task in (self._task, self._preparing):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._task = self._preparing = None

    def begin(self) -> int:
        """Start a cycle, or go on with an unfinished one, and return its number at once.

        StateError while one is running, or a canary is tried.
        """
        if self.running:
            raise StateError("an update is running", "wait for it: perennial cycles")
        cycles = self._runtime.store.cycles
        unfinished = cycles.unfinished()
        if unfinished is None:
            refuse_while_trying(self._runtime.store)
        number = unfinished.number if unfinished else len(cycles.list()) + 1
        self._last = None
        if self._preparing is not None:
            # The cycle makes what is missing itself; twice at once would take twice the memory.
            self._preparing.cancel()
            self._preparing = None
        self._task = asyncio.create_task(self._run(), name=f"cycle-{number}")
        return number

    async def tick(self) -> str:
        """What the schedule does each time: a cycle when there is reason for one.

        Returns what was done, in a word: `busy`, `trying` (a canary), `waiting` (backing off),
        `nothing`, `ran`.
        """
        if self.running:
            return "busy"
        if self._runtime.store.trials.canary() is not None:
            return "trying"
        until = self.backing_off()
        if until is not None and utc_now() < until:
            return "waiting"
        new = await asyncio.to_thread(self._backlog.count)
        if new < self._runtime.settings.schedule.min_new_documents or self.running:
            self._prepare()
            return "nothing"
        self.begin()
        assert self._task is not None
        # Waiting here makes APScheduler count the cycle as this job's one instance. Shielded: a
        # scheduler that is shut down must not cancel the cycle behind our back.
        await asyncio.shield(self._task)
        return "ran"

    @property
    def running(self) -> bool:
        """Whether a cycle is at work, here or by anyone else who holds the lock."""
        at_work = self._task is not None and not self._task.done()
        return at_work or self._runtime.cycle_lock.locked()

    def backing_off(self) -> datetime | None:
        """When the schedule may try again after failed cycles; None when the last one was well."""
        failed: list[Cycle] = []
        for cycle in reversed(self._runtime.store.cycles.list()):
            if cycle.state is not CycleState.FAILED:
                break
            failed.append(cycle)
        if not failed or failed[0].ended_at is None:
            return None
        return failed[0].ended_at + min(BACKOFF * 2 ** min(len(failed) - 1, 10), MAX_BACKOFF)

    def report(self) -> dict[str, Any]:
        """What the worker is doing, as JSON."""
        job = self._scheduler.get_job("cycle") if self._scheduler.running else None
        unfinished = self._runtime.store.cycles.unfinished() if self.running else None
        event = self._last if self.running else None
        progress = {"stage": event.stage.value, "done": event.done, "total": event.total,
                    "text": event.text} if event else None  # fmt: skip
        until = self.backing_off()
        return {
            "schedule": in_words(self._runtime.settings.schedule),
            "next": job.next_run_time.isoformat() if job and job.next_run_time else None,
            "running": unfinished.number if unfinished else None,
            "progress": progress,
            "backing_off_until": until.isoformat() if until and until > utc_now() else None,
        }

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
                await self._cycle(self._runtime, self._watch)
            except Exception as error:
                # Left unfinished, a cycle that always breaks would be resumed for ever.
                log.exception("an update broke")
                cycles = self._runtime.store.cycles
                if (left := cycles.unfinished()) is not None:
                    cycles.finish(left.number, CycleState.FAILED, repr(error))
        self._prepare()

    def _watch(self, event: Event) -> None:
        self._last = event
        self._notify(event)
