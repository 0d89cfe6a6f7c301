"""Another process holds a database for longer than is waited: all say so, and go on later."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from fake_runtime import fake_runtime, settings_of
from faults import cycle_process
from faults.chain import Chain, said
from faults.clients import Outcome, ask
from faults.cycle_process import WAIT_S
from faults.invariants import TALLY, check_ended, check_home
from faults.processes import ended, start

from adapt.show import CycleView
from adapt.up import service
from store import Home
from store.database import Database
from store.episodes import Episodes
from store.records import CycleState

BUSY = "has been locked by another process"


def hold(file: Path, held: Path, done: Path) -> None:
    """What the other process does: write, and not end."""
    with closing(sqlite3.connect(file)) as db:
        db.execute("BEGIN IMMEDIATE")
        held.touch()
        while not done.exists():
            time.sleep(0.01)


@contextmanager
def locked(file: Path, marks: Path) -> Iterator[None]:
    """While another process holds a database."""
    held, done = marks.with_suffix(".held"), marks.with_suffix(".done")
    holder = start(hold, file, held, done)
    while not held.exists():
        assert holder.is_alive()
        time.sleep(0.01)
    TALLY.inject(f"locked {file.name}")
    try:
        yield
    finally:
        done.touch()
        assert ended(holder) == 0


@pytest.mark.parametrize(
    "point", ["gather:started", "synthesize:started", "evaluate:done", "gate:started",
              "swap:started"],
)  # fmt: skip
def test_a_cycle_says_that_the_database_is_locked_and_goes_on_later(
    chain: Chain, place: Path, point: str
) -> None:
    home = chain.at(point, place)
    before = check_home(home)
    learned = chain.learned
    process = start(
        cycle_process.main, home, learned.model, learned.inbox, following(point), "lock"
    )
    wanted = home.with_suffix(".wanted")
    while not wanted.exists():
        assert process.is_alive(), said(home)
        time.sleep(0.01)
    with locked(Home(home).database, home):
        code = ended(process)
    TALLY.check(code == 1, "it ends with an error")
    TALLY.check(BUSY in said(home).splitlines()[-1], f"it says why: {said(home)}")
    TALLY.check(check_home(home) == before, "the live version stays")
    if point.startswith(("gate", "swap")):
        assert learned.run(home) == 0, said(home)
        check_home(home)
        check_ended(home, 1, CycleState.PROMOTED)


def following(point: str) -> str:
    """Where a process that goes on after a point is first."""
    return {"evaluate:done": "gate:started"}.get(point, point)


@pytest.mark.parametrize("name", ["perennial.db", "threads.db"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_request_says_that_the_database_is_locked_and_the_next_is_answered(
    place: Path, name: str, stream: bool
) -> None:
    """What is live can be read all the time; what cannot be kept is an error and no silence."""

    async def scenario() -> tuple[Outcome, Outcome]:
        async with fake_runtime(settings_of(place)) as runtime:
            short = Database(runtime.home.database, wait=WAIT_S)
            runtime.store.episodes = Episodes(short)
            async with (
                service(runtime, CycleView()) as url,
                httpx.AsyncClient(base_url=url, timeout=60) as client,
            ):
                more = {"stream": stream, "thread_id": "t"}
                await ask(client, "before", **more)
                with locked(place / name, place):
                    during = await ask(client, "during", **more)
                after = await ask(client, "after", **more)
            short.close()
        return during, after

    during, after = asyncio.run(scenario())
    TALLY.check(during.how == "error" and BUSY in during.words, f"it says why: {during}")
    TALLY.check(after.how == "answered", f"it answers again: {after}")
    check_home(place)
