"""One cycle under the lease: no other process on the same database runs one meanwhile.

The lease is renewed beside the cycle. When it is lost the cycle is stopped here, its child
processes with it, and goes on where the lease is now; the fence keeps out what it would still
write. It decides nothing about when. Called by adapt.schedule, `perennial update` and `perennial
versions prune`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import TypeVar

from adapt.budget import note_written
from adapt.collect import Collected, collect
from adapt.cycle import run_cycle
from adapt.events import Notify
from adapt.runtime import Runtime
from agent.config import Settings
from store import Home, Store
from store.errors import BusyError, PerennialError, StateError
from store.leases import Lease, Leases
from store.records import Cycle, CycleState

log = logging.getLogger(__name__)

LEASE = "update"
ARTIFACTS = "artifacts"
"""Held by who removes artifacts, or reads all of them and must find them all: a backup."""
POLL_S = 0.5
"""How often a lease that may be a dead holder's is looked at."""
RENEWALS = 6
"""Renewals in the time that the lease lasts: several may fail before it is lost."""

RunCycle = Callable[[Runtime, Notify], Awaitable[Cycle]]
T = TypeVar("T")


async def run_alone(runtime: Runtime, notify: Notify, cycle: RunCycle = run_cycle) -> Cycle:
    """Run a cycle, or finish an interrupted one, then clear away what need not be kept.

    BusyError when another process runs cycles on this database, which is known within some ten
    seconds; StateError when it took over. A cycle that breaks, by an error that nobody foresaw, is
    recorded as failed: left unfinished it would be resumed for ever.
    """

    async def work() -> Cycle:
        try:
            done = await cycle(runtime, notify)
        except Exception as error:
            if (left := runtime.store.cycles.unfinished()) is not None:
                runtime.store.cycles.finish(left.number, CycleState.FAILED, repr(error))
            raise
        await tidy(runtime, done)
        return done

    return await alone(runtime.store.leases, place_of(runtime.home), work)


async def tidy(runtime: Runtime, done: Cycle) -> None:
    """Note what a cycle wrote, and clear away. No fault in it takes anything from the cycle."""

    def pinned() -> set[str]:
        return runtime.swap.pinned() | runtime.swap.wanted()

    try:
        await asyncio.to_thread(note_written, runtime.home, runtime.store.artifacts, done)
        told = await clear_away(runtime.store, runtime.settings, pinned)
    except (PerennialError, OSError):
        log.warning("what is no longer needed could not be cleared away", exc_info=True)
        return
    for line in told.lines():
        log.log(logging.WARNING if line == told.over else logging.INFO, line)


async def clear_away(
    store: Store, settings: Settings, pinned: Callable[[], Collection[str]]
) -> Collected:
    """adapt.collect in a thread. BusyError while a backup is being made."""

    async def work() -> Collected:
        return await asyncio.to_thread(collect, store, settings, pinned)

    return await alone(store.leases, place_of(store.home), work, ARTIFACTS)


async def alone(
    leases: Leases, place: str, work: Callable[[], Awaitable[T]], name: str = LEASE
) -> T:
    """Do `work` while holding a lease, renewed beside it. Errors as of `run_alone`."""
    lease = await _taken(leases, name, place)
    try:
        with leases.held(lease):
            return await _kept(leases, lease, work)
    finally:
        # A database that is away has said so already; the lease ends by itself.
        with contextlib.suppress(PerennialError):
            await asyncio.to_thread(leases.release, lease)


def place_of(home: Home) -> str:
    """What tells this home from every other on any machine; the holder of its lock may use it.

    By the lock's file: a copy of the home is another place, and so is the home after a reboot.
    Empty where the system does not tell: a dead holder is then waited for.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        lock = (home.run / "lock").stat()
    except OSError:
        return ""
    return f"{boot}:{lock.st_dev}:{lock.st_ino}"


async def _taken(leases: Leases, name: str, place: str) -> Lease:
    """The lease, once its dead holder has lost it. BusyError when the holder is seen to live."""
    first: tuple[int, int] | None = None
    while True:
        try:
            return await asyncio.to_thread(leases.take, name, place)
        except BusyError:
            first = first or leases.seen(name)
            if first is None or leases.seen(name) != first:
                raise
        await asyncio.sleep(POLL_S)


async def _kept(leases: Leases, lease: Lease, work: Callable[[], Awaitable[T]]) -> T:
    """Do `work` and renew the lease beside it; the first to end takes the other along."""
    body = asyncio.ensure_future(work())
    keeper = asyncio.create_task(_renew(leases, lease))
    try:
        await asyncio.wait({body, keeper}, return_when=asyncio.FIRST_COMPLETED)
        if not body.done():
            keeper.result()
        return body.result()
    finally:
        for task in (body, keeper):
            task.cancel()
        await asyncio.gather(body, keeper, return_exceptions=True)


async def _renew(leases: Leases, lease: Lease) -> None:
    """Renew until cancelled. StateError when the lease is lost, or may be."""
    renewed = leases.clock()
    while True:
        await asyncio.sleep(lease.lasts_s / RENEWALS)
        try:
            await asyncio.to_thread(leases.renew, lease)
            renewed = leases.clock()
        except StateError:
            raise
        except PerennialError as error:
            # Locked, or away for a moment. Others can have taken the lease only after its time.
            if leases.clock() - renewed > lease.lasts_s:
                raise StateError(
                    f"the lease on {lease.name} could not be renewed for {lease.lasts_s:g} s",
                    "the update goes on when the database answers again",
                ) from error
