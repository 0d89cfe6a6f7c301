"""A process that runs one cycle and fails at a point of it: `HOME MODEL INBOX [POINT ACT]`.

Over the driver of tests/cycle_driver.py: the engine is the shipped fake, all else is real. The
process takes the home's lock and the cycle's lease as `perennial update` does. Started by
faults.processes, which forks it from a process that has imported all this.
"""

import asyncio
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from cycle_driver import build_runtime
from faults.points import Point, fill, kill, kill_child, limit

from adapt.events import silent
from adapt.worker_run import run_alone
from agent.fake_engine import FakeVllm
from store import Home, Store
from store.embeddings import HashEmbedder
from store.leases import FencedDatabase
from store.ownership import claim
from store.records import Cycle

WAIT_S = 0.5
"""How long a writer waits for another process; ten seconds would be ten seconds of tests."""

ROOM = 4096
"""Enough for a trainer's request, and not for what it makes."""

ACTS: dict[str, Callable[[Path], object]] = {
    "kill": lambda _: kill(),
    "kill child": lambda _: kill_child(),
    "fill": fill,
    "nearly fill masks": lambda home: fill(home / "masks", ROOM),
    "fill cycles": lambda home: fill(home / "cycles"),
    "nearly fill cycles": lambda home: fill(home / "cycles", ROOM),
    "fill artifacts": lambda home: fill(home / "artifacts"),
    "limit": lambda _: limit(),
    "clock": lambda home: Path(os.environ["FAULT_CLOCK"]).write_text(os.environ["FAULT_JUMP"]),
    "lock": lambda home: _have_locked(home),
}


def main(home: Path, model: Path, inbox: Path, where: str = "", act: str = "kill") -> None:
    """Run to the end or to the point; what went wrong is left in HOME.log."""
    try:
        asyncio.run(_cycle(home, model, inbox, where, act))
    except BaseException:
        most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        log_of(home).write_text(traceback.format_exc())
        sys.exit(1)


def log_of(home: Path) -> Path:
    """Where the process says what went wrong: beside the home, which may be full."""
    return home.parent / f"{home.name}.log"


async def _cycle(home: Path, model: Path, inbox: Path, where: str, act: str) -> Cycle:
    place = Home(home)
    place.create()
    database = FencedDatabase(place.database, wait=WAIT_S)
    database.migrate()
    claim(place, database)
    with place.lock(), Store(place, database, HashEmbedder()) as store:
        runtime, fake = build_runtime(place, store, model, inbox)
        point = Point(where, lambda: ACTS[act](home)) if where else None
        if point and where == "swap:loaded":
            _on_probe(fake, point)
        cycle = await run_alone(runtime, point.watch if point else silent)
        await runtime.engine.close()
    return cycle


def _on_probe(fake: FakeVllm, point: Point) -> None:
    """The engine holds the adapter and is asked for its probe: the swap is between the two."""
    logprobs = fake.logprobs

    def asked(name: str, prompt: object) -> dict[int, float]:
        point.hit()
        return logprobs(name, prompt)

    fake.logprobs = asked


def _have_locked(home: Path) -> None:
    """Have the test hold a write transaction, and go on when it does."""
    home.with_suffix(".wanted").touch()
    while not home.with_suffix(".held").exists():
        time.sleep(0.01)


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0]), Path(given[1]), Path(given[2]), *given[3:])
