"""The timetable over real APScheduler and its real file: what a restart keeps and makes up for."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from adapt.worker_timetable import JOB, Timetable, trigger_of
from agent.config import ScheduleSettings
from store.errors import ConfigError

HOURLY = ScheduleSettings(cron="0 * * * *")
SOON_S = 0.4


def run(file: Path, schedule: ScheduleSettings, seconds: float = SOON_S) -> tuple[int, datetime]:
    """Have a timetable at work for a while: how often it called, and its next time."""
    calls: list[int] = []

    async def call() -> None:
        calls.append(1)

    async def scenario() -> datetime:
        table = Timetable(file, schedule, call)
        table.start()
        await asyncio.sleep(seconds)
        due = table.next()
        await table.stop()
        await table.stop()
        return due or datetime.min.replace(tzinfo=UTC)

    due = asyncio.run(scenario())
    return len(calls), due


def stored(file: Path, change: Callable[[AsyncIOScheduler], object]) -> None:
    """Change what a stopped timetable left in its file."""

    async def scenario() -> None:
        kept = SQLAlchemyJobStore(f"sqlite:///{file}")
        scheduler = AsyncIOScheduler(jobstores={"default": kept})
        scheduler.start(paused=True)
        change(scheduler)
        scheduler.shutdown()
        await asyncio.sleep(0)

    asyncio.run(scenario())


def due_at(moment: datetime) -> Callable[[AsyncIOScheduler], object]:
    return lambda scheduler: scheduler.modify_job(JOB, next_run_time=moment)


def test_missed_times_are_made_up_for_once(tmp_path: Path) -> None:
    """Three days off with one call an hour: one call, and the next is the next full hour."""
    file = tmp_path / "schedule.db"
    assert run(file, HOURLY)[0] == 0
    stored(file, due_at(datetime.now(UTC) - timedelta(days=3)))
    calls, due = run(file, HOURLY)
    assert calls == 1
    assert timedelta() < due - datetime.now(UTC) <= timedelta(hours=1)
    assert run(file, HOURLY)[0] == 0


def test_what_was_missed_too_long_ago_is_not_made_up_for(tmp_path: Path) -> None:
    file = tmp_path / "schedule.db"
    yearly = ScheduleSettings(cron="0 3 1 1 *", make_up_hours=1)
    run(file, yearly)
    stored(file, due_at(datetime.now(UTC) - timedelta(hours=2)))
    calls, due = run(file, yearly)
    assert calls == 0 and due > datetime.now(UTC)


def test_a_changed_rhythm_replaces_the_stored_one(tmp_path: Path) -> None:
    """What the old one missed is not the new one's to make up for."""
    file = tmp_path / "schedule.db"
    run(file, HOURLY)
    stored(file, due_at(datetime.now(UTC) - timedelta(minutes=1)))
    calls, due = run(file, ScheduleSettings(interval_minutes=30))
    assert calls == 0
    assert timedelta(minutes=29) < due - datetime.now(UTC) <= timedelta(minutes=30)


def test_the_same_rhythm_keeps_its_next_time(tmp_path: Path) -> None:
    file = tmp_path / "schedule.db"
    every = ScheduleSettings(interval_minutes=30)
    first = run(file, every)[1]
    assert run(file, every)[1] == first


def test_without_a_rhythm_the_stored_one_goes(tmp_path: Path) -> None:
    file = tmp_path / "schedule.db"
    run(file, HOURLY)
    assert run(file, ScheduleSettings()) == (0, datetime.min.replace(tzinfo=UTC))
    left: list[object] = []
    stored(file, lambda scheduler: left.extend(scheduler.get_jobs()))
    assert left == []


@pytest.mark.parametrize("rhythm", [HOURLY, ScheduleSettings(interval_minutes=30)])
def test_a_time_that_a_wrong_clock_left_is_brought_near(
    tmp_path: Path, rhythm: ScheduleSettings
) -> None:
    """The clock was a year ahead and was set right: updates go on within one period."""
    file = tmp_path / "schedule.db"
    run(file, rhythm)
    stored(file, due_at(datetime.now(UTC) + timedelta(days=365)))
    assert run(file, rhythm)[1] - datetime.now(UTC) <= timedelta(hours=1)


def test_a_clock_that_is_set_back_under_way_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "schedule.db"

    async def call() -> None:
        """Nothing is due."""

    async def scenario() -> None:
        table = Timetable(file, HOURLY, call)
        table.start()
        far = datetime.now(UTC) + timedelta(days=365)
        changing = threading.Thread(target=stored, args=(file, due_at(far)))
        changing.start()
        changing.join()
        assert table.next() == far
        table.mend()
        due = table.next()
        assert due is not None and due - datetime.now(UTC) <= timedelta(hours=1)
        await table.stop()

    asyncio.run(scenario())


def test_a_damaged_file_costs_nothing_but_what_was_missed(tmp_path: Path) -> None:
    file = tmp_path / "schedule.db"
    file.write_bytes(b"no database " * 1000)
    assert run(file, HOURLY)[1] > datetime.now(UTC)
    assert run(file, HOURLY)[1] > datetime.now(UTC)
    stored(file, due_at(datetime.now(UTC) - timedelta(minutes=1)))
    assert run(file, HOURLY)[0] == 1


def test_a_cron_that_is_none_is_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match="99") as caught:
        trigger_of(ScheduleSettings(cron="99 * * * *"))
    assert "five fields" in caught.value.hint
