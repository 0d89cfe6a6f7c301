"""Homes with documents to learn, and cycles that end as a test wants them to, for tests of the
worker. Run as a script it is a worker of its own: `worker_home.py HOME DATABASE MARK`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fake_runtime import fake_runtime, settings_of

from adapt.events import Notify
from adapt.gather import gather
from adapt.runtime import Runtime
from adapt.worker_run import RunCycle
from store.records import Cycle, CycleStage, CycleState, DocumentState, Source, utc_now


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
        gather(store, 10_000)
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
