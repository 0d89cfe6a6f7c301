"""When a source is to be visited: at every update, or at times of its own.

Reads clocks and nothing else. Called by adapt.gather.gathering, the worker and the command line.
"""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from apscheduler.triggers.cron import CronTrigger

from store.errors import ConfigError
from store.source_records import Source, Visit

FRESH = timedelta(minutes=1)
"""A source on other machines that was wholly visited so shortly before is not asked again: the
schedule looks for what is new, and the update that it then starts would ask for all of it again."""


def is_due(source: Source, last: Visit | None, now: datetime) -> bool:
    """Whether it is to be visited now. `last` is its last visit, if there was one."""
    if source.paused or source.kind == "posted":
        return False
    # A visit in the future was noted by a clock that was ahead: it would be waited for.
    if last is None or last.started_at > now:
        return True
    if source.schedule is not None:
        time = next_visit(source, last.started_at)
        return time is not None and time <= now
    whole = last.error is None and last.bound is None
    ended = last.started_at + timedelta(seconds=last.seconds)
    return not (whole and is_remote(source) and now - ended < FRESH)


def next_visit(source: Source, after: datetime) -> datetime | None:
    """The first time after `after` of a source's own schedule; None when there is none."""
    return cron_of(source.schedule).get_next_fire_time(after, after) if source.schedule else None


def cron_of(schedule: str, setting: str = "the schedule") -> CronTrigger:
    """A cron line. ConfigError, naming where it stands, when it is none."""
    try:
        return CronTrigger.from_crontab(schedule)
    except ValueError as error:
        raise ConfigError(
            f"{setting} {schedule!r} cannot be used: {error}",
            "five fields, such as '0 3 * * *' (every day at three)",
        ) from error


def is_remote(source: Source) -> bool:
    """Whether a visit asks other machines."""
    web = urlsplit(source.location).scheme in ("http", "https")
    return web or source.kind in ("feed", "pages", "mcp")
