"""When cycles start by themselves: APScheduler, with the next time kept in a file of the home.

So a time that passes while nothing runs here is made up for, once, after the next start; a rhythm
that was changed in the settings replaces the stored one, and none removes it. The file is the
home's own and not the database: two homes on one database would start each other's cycles, and the
event loop would wait for other writers. It decides nothing about cycles. Called by adapt.schedule.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from apscheduler.job import Job
from apscheduler.jobstores.base import BaseJobStore
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from adapt.gather.due import cron_of
from agent.config import ScheduleSettings

log = logging.getLogger(__name__)

JOB = "update"
Call = Callable[[], Awaitable[object]]
_CALLS: dict[str, Call] = {}
"""What a time means, by the file that it is kept in. A stored job can name a function only, and
`fire` finds here what is at work in this process."""


def trigger_of(schedule: ScheduleSettings) -> CronTrigger | IntervalTrigger | None:
    """When cycles start by themselves, None for never. ConfigError for a cron that is none."""
    if schedule.interval_minutes is not None:
        return IntervalTrigger(seconds=max(1, round(schedule.interval_minutes * 60)))
    if schedule.cron is None:
        return None
    return cron_of(schedule.cron, "schedule.cron")


def in_words(schedule: ScheduleSettings) -> str:
    """The schedule as people say it."""
    if schedule.interval_minutes is not None:
        return f"every {schedule.interval_minutes:g} minutes"
    return f"by cron {schedule.cron}" if schedule.cron else "on request (perennial update)"


async def fire(place: str) -> None:
    """What APScheduler calls when a time has come."""
    if (call := _CALLS.get(place)) is not None:
        await call()


class Timetable:
    """Calls `call` in the rhythm of a schedule. Lives on the running event loop."""

    def __init__(self, file: Path, schedule: ScheduleSettings, call: Call) -> None:
        self._file = file
        self._schedule = schedule
        self._call = call
        trigger_of(schedule)
        self._scheduler: AsyncIOScheduler | None = None

    def start(self) -> None:
        """Begin. What was missed while nothing ran is called soon, once."""
        _CALLS[str(self._file)] = self._call
        url = URL.create("sqlite", database=str(self._file))
        kept = SQLAlchemyJobStore(url)  # pyright: ignore[reportArgumentType]
        try:
            self._scheduler = self._begun(kept)
        except SQLAlchemyError:
            # Damaged, or no space: it holds nothing but the next time, and users must be served.
            log.warning("%s cannot be used; a new one is made at the next start", self._file,
                        exc_info=True)  # fmt: skip
            kept.shutdown()
            self._file.unlink(missing_ok=True)
            self._scheduler = self._begun(MemoryJobStore())

    async def stop(self) -> None:
        """Call no more. Idempotent."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None
            _CALLS.pop(str(self._file), None)
            # APScheduler closes its file in the next turn of the loop.
            await asyncio.sleep(0)

    def next(self) -> datetime | None:
        """When the next call is due; None when there is no rhythm."""
        try:
            job = self._job(self._scheduler) if self._scheduler else None
        except SQLAlchemyError:
            return None
        return job.next_run_time if job else None

    def mend(self) -> None:
        """To be called now and then, for what a clock that is set and a disk that is full can do:
        a time further off than a whole period is brought near, and a scheduler that could not
        write its next time, and waits for nothing, goes on."""
        if self._scheduler is None:
            return
        try:
            self._near(self._scheduler)
        except SQLAlchemyError:
            log.warning("%s cannot be written", self._file, exc_info=True)
        self._scheduler.wakeup()

    def _begun(self, kept: BaseJobStore) -> AsyncIOScheduler:
        scheduler = AsyncIOScheduler(jobstores={"default": kept})
        # Paused: what is due must not be called before the settings were compared with it.
        scheduler.start(paused=True)
        try:
            self._settle(scheduler)
        except SQLAlchemyError:
            scheduler.shutdown(wait=False)
            raise
        scheduler.resume()
        return scheduler

    def _settle(self, scheduler: AsyncIOScheduler) -> None:
        """Make the stored job the one that the settings ask for; its next time stays if it is."""
        trigger, job = trigger_of(self._schedule), self._job(scheduler)
        if trigger is None:
            if job is not None:
                scheduler.remove_job(JOB)
            return
        # As text: triggers do not compare, and an interval's has the moment it was made in it.
        rhythm = f"{trigger} {trigger.timezone}"
        common = {"args": (str(self._file),), "coalesce": True, "max_instances": 1,
                  "misfire_grace_time": round(3600 * self._schedule.make_up_hours)}  # fmt: skip
        if job is not None and job.name == rhythm:
            scheduler.modify_job(JOB, **common)
            self._near(scheduler)
        else:
            scheduler.add_job(
                fire, trigger, id=JOB, name=rhythm, replace_existing=True, **common
            )  # fmt: skip

    def _near(self, scheduler: AsyncIOScheduler) -> None:
        """A clock that was ahead leaves a time that never comes."""
        trigger, job = trigger_of(self._schedule), self._job(scheduler)
        if trigger is None or job is None or job.next_run_time is None:
            return
        latest = trigger.get_next_fire_time(None, datetime.now(trigger.timezone))
        if latest is not None and job.next_run_time > latest:
            scheduler.modify_job(JOB, next_run_time=latest)

    def _job(self, scheduler: AsyncIOScheduler) -> Job | None:
        return scheduler.get_job(JOB)
