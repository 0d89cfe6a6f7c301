"""Homes with documents to learn, and cycles that end as a test wants them to, for tests of the
worker. Run as a script it runs cycles on a shared database: `DATABASE HOME MARK TIMES SECONDS
LEASE_SECONDS`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fake_runtime import BASE, answer, fake_runtime, settings_of

from adapt.events import Notify, silent
from adapt.gather import gather
from adapt.runtime import Runtime, ensure_base
from adapt.swap import Swapper
from adapt.worker_run import RunCycle, run_alone
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from agent.fleet import Fleet
from store import Home, Store
from store.embeddings import HashEmbedder
from store.errors import BusyError
from store.leases import FencedDatabase, Leases
from store.records import Cycle, CycleStage, CycleState, DocumentState, utc_now
from store.source_records import Source


@asynccontextmanager
async def home_with(tmp_path: Path, *texts: str, **overrides: Any) -> AsyncIterator[Runtime]:
    """A runtime with one source that holds these texts as files."""
    folder = tmp_path / "docs"
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(texts):
        (folder / f"{number}.md").write_text(text)
    async with fake_runtime(settings_of(tmp_path / "home", **overrides)) as runtime:
        known = [s.name for s in runtime.store.sources.list()]
        if "docs" not in known:
            source = Source(name="docs", location=str(folder), added_at=utc_now())
            runtime.store.sources.add(source)
        yield runtime


def ending(state: CycleState) -> RunCycle:
    """A cycle that gathers for real and then ends in a state, without training."""

    async def cycle(runtime: Runtime, notify: Notify) -> Cycle:
        store = runtime.store
        running = store.cycles.unfinished() or store.cycles.start({})
        await gather(store, runtime.settings)
        digests = [d.digest for d in store.documents.list(DocumentState.ACCEPTED)]
        snapshot = store.documents.snapshot(digests)
        store.cycles.stage_started(running.number, CycleStage.GATHER, {})
        store.cycles.stage_done(
            running.number, CycleStage.GATHER, {"corpus": snapshot.digest, "new": 1}, 0.0
        )
        store.cycles.finish(running.number, state)
        return store.cycles.get(running.number)

    return cycle


async def for_ever(runtime: Runtime, notify: Notify) -> Cycle:
    """A cycle that is still at work when it is stopped."""
    if runtime.store.cycles.unfinished() is None:
        runtime.store.cycles.start({})
    await asyncio.sleep(600)
    raise AssertionError("never reached")


async def nothing(runtime: Runtime) -> None:
    """Makes nothing ahead."""


@asynccontextmanager
async def home_on(place: str, path: Path, lasts_s: float) -> AsyncIterator[Runtime]:
    """A home of its own on a database (path or URL) that others use as well, with short leases."""
    home = Home(path)
    home.create()
    database = FencedDatabase(place if "://" in place else Path(place))
    database.migrate()
    with home.lock(), Store(home, database, HashEmbedder()) as store:
        store.leases = Leases(database, lasts_s=lasts_s)
        ensure_base(store, BASE)
        vllm = FakeVllm(answer, served_name=BASE.version_name)
        async with Engine(Path("-"), transport=vllm) as engine:
            fleet = Fleet.of(engine, BASE.version_name)
            yield Runtime(settings_of(path), home, store, BASE, fleet, Swapper(store, fleet))


async def compete(
    place: str, path: Path, mark: Path, times: int, seconds: float, lasts_s: float = 1.5
) -> None:
    """Run cycles on a database that others use, and fail when two are at work at once."""

    async def cycle(runtime: Runtime, notify: Notify) -> Cycle:
        cycles = runtime.store.cycles
        running = cycles.unfinished() or cycles.start({})
        mark.mkdir()
        await asyncio.sleep(seconds)
        mark.rmdir()
        cycles.finish(running.number, CycleState.PROMOTED)
        return cycles.get(running.number)

    async with home_on(place, path, lasts_s) as runtime:
        done = 0
        while done < times:
            try:
                sys.stdout.write(f"{(await run_alone(runtime, silent, cycle)).number}\n")
                sys.stdout.flush()
                done += 1
            except BusyError:
                await asyncio.sleep(0.01)


if __name__ == "__main__":
    where, own, at_work, how_often, *seconds = sys.argv[1:]
    long, lease = map(float, seconds)
    asyncio.run(compete(where, Path(own), Path(at_work), int(how_often), long, lease))
