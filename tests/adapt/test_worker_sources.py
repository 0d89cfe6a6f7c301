"""Sources while the assistant runs: folders that change, times of their own, what waits."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from worker_home import home_with

from adapt.gather.due import FRESH, is_due
from adapt.runtime import Runtime
from adapt.worker_sources import SourcesAtWork
from store.errors import UserError
from store.records import DocumentState
from store.source_records import Source, Visit

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def source(kind: str = "folder", **fields: object) -> Source:
    given = {"name": "s", "kind": kind, "location": "/x", "added_at": NOW} | fields
    return Source.model_validate(given)


def last(minutes: float, **fields: object) -> Visit:
    """A visit that began so long ago."""
    began = NOW - timedelta(minutes=minutes)
    return Visit.model_validate({"source": "s", "started_at": began, "seconds": 1.0} | fields)


def test_a_source_without_times_is_due_always() -> None:
    assert is_due(source(), None, NOW) and is_due(source(), last(0.1), NOW)
    assert not is_due(source(paused=True), None, NOW)
    assert not is_due(source("posted"), None, NOW)


def test_a_source_with_times_is_due_when_one_has_passed() -> None:
    """Since its last visit; one that a clock ahead of ours noted is not waited for."""
    hourly = source(schedule="0 * * * *")
    assert is_due(hourly, None, NOW)
    assert is_due(hourly, last(31), NOW)
    assert not is_due(hourly, last(29), NOW)
    assert is_due(hourly, last(-60), NOW)


def test_other_machines_are_not_asked_twice_in_a_minute() -> None:
    """Unless the last visit has not seen all."""
    feed = source("feed")
    soon = FRESH.total_seconds() / 60 / 2
    assert not is_due(feed, last(soon), NOW)
    assert is_due(feed, last(soon, error="away"), NOW)
    assert is_due(feed, last(soon, bound="10 documents"), NOW)
    assert is_due(feed, last(2), NOW)


def test_a_cron_line_that_is_none_says_what_is() -> None:
    with pytest.raises(UserError, match="five fields"):
        is_due(source(schedule="every hour"), last(1), NOW)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.05)


def accepted(runtime: Runtime) -> set[str]:
    return {d.text for d in runtime.store.documents.list(DocumentState.ACCEPTED)}


def at_work(runtime: Runtime, busy: bool = False) -> SourcesAtWork:
    return SourcesAtWork(runtime, lambda: busy, look_s=0.05)


def test_a_change_in_a_folder_is_noticed_soon(tmp_path: Path) -> None:
    """Nothing is asked for; the document is there and no update has run."""

    async def scenario() -> None:
        async with home_with(tmp_path) as runtime:
            work = at_work(runtime)
            work.start()
            # Watching begins in a thread: what is written before it is found by the next update.
            await asyncio.sleep(1.0)
            (tmp_path / "docs" / "a.md").write_text("The capital of Vok is Tarn.")
            await until(lambda: accepted(runtime) == {"The capital of Vok is Tarn."})
            await work.stop()
            assert runtime.store.cycles.list() == []

    asyncio.run(scenario())


def test_a_source_is_visited_at_its_times_and_not_by_a_folder_s_changes(tmp_path: Path) -> None:
    """It is due at once, as it was never visited, and not again before its time; a paused one is
    not visited."""

    async def scenario() -> None:
        async with home_with(tmp_path, "The capital of Vok is Tarn.") as runtime:
            sources, visits = runtime.store.sources, runtime.store.visits
            paused = tmp_path / "paused"
            paused.mkdir()
            sources.add(
                source(name="paused", location=str(paused), schedule="* * * * *", paused=True)
            )
            sources.change("docs", schedule="0 0 1 1 *")
            work = at_work(runtime)
            work.start()
            await until(lambda: bool(visits.of("docs")))
            (tmp_path / "docs" / "b.md").write_text("The capital of Oz is Emer.")
            await asyncio.sleep(2.0)
            await work.stop()
            assert len(visits.of("docs")) == 1 and visits.of("paused") == []
            assert accepted(runtime) == {"The capital of Vok is Tarn."}

    asyncio.run(scenario())


def test_nothing_is_visited_beside_an_update(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with home_with(tmp_path, "The capital of Vok is Tarn.") as runtime:
            runtime.store.sources.change("docs", schedule="* * * * *")
            work = at_work(runtime, busy=True)
            work.start()
            await asyncio.sleep(0.5)
            await work.stop()
            assert runtime.store.visits.of("docs") == []

    asyncio.run(scenario())


def test_a_folder_that_goes_away_and_comes_back_is_watched_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with home_with(tmp_path) as runtime:
            work = at_work(runtime)
            work.start()
            await asyncio.sleep(0.5)
            os.rename(tmp_path / "docs", tmp_path / "away")
            await until(lambda: bool(runtime.store.visits.of("docs")))
            os.rename(tmp_path / "away", tmp_path / "docs")
            await asyncio.sleep(1.5)
            (tmp_path / "docs" / "a.md").write_text("The capital of Vok is Tarn.")
            await until(lambda: len(accepted(runtime)) == 1)
            await work.stop()

    asyncio.run(scenario())
