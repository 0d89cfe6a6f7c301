"""Engines that die, stop, hang, forget and break off while they answer: real processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_runtime import BASE, add_version, settings_of
from faults import engine_process
from faults.clients import Outcome, ask, ask_many, check_requests
from faults.invariants import TALLY, check_home
from faults.processes import ROOT

from adapt.fleets import Engines
from adapt.runtime import Runtime, ensure_base
from adapt.show import CycleView
from adapt.swap import Swapper
from adapt.up import service
from agent.config import EngineSettings
from agent.engine import Engine
from agent.fleet import Fleet
from agent.fleet_member import Member
from agent.serve import EngineProcess
from agent.serve_command import Command
from agent.serve_supervisor import Supervisor
from store import Home, Store
from store.embeddings import HashEmbedder

HANG_S = 2.0
"""Without a token for so long, an engine counts as hanging."""
PATIENT_S = 60.0
CLIENTS = 12


@dataclass
class Served:
    """An assistant over HTTP with engines that are processes."""

    runtime: Runtime
    processes: list[EngineProcess]
    client: httpx.AsyncClient

    async def fault(self, place: int, **fields: Any) -> int:
        """Set fields of an engine's fake; the number of chats it has received."""
        transport = httpx.AsyncHTTPTransport(uds=str(self.processes[place].socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://engine") as http:
            method = "POST" if fields else "GET"
            return (await http.request(method, "/fault", json=fields)).json()["chats"]

    async def at_work(self, chats: int = CLIENTS) -> None:
        """Wait until the engines have so many requests."""
        everyone = range(len(self.processes))
        while sum([await self.fault(place) for place in everyone]) < chats:
            await asyncio.sleep(0.005)


@asynccontextmanager
async def served(path: Path, engines: int, hang_s: float = HANG_S) -> AsyncIterator[Served]:
    """The assistant of a home with one more version than the base, which is live."""
    home = Home(path)
    home.create()
    async with AsyncExitStack() as stack:
        stack.enter_context(home.lock())
        store = stack.enter_context(Store.open(home, HashEmbedder()))
        ensure_base(store, BASE)
        fleet = Fleet(wait_s=30.0)
        stack.push_async_callback(fleet.close)
        swapper = Swapper(store, fleet)
        processes = [_process(home, place) for place in range(engines)]
        supervisors: list[Supervisor] = []
        for place, process in enumerate(processes):
            member = Member(f"e{place}", Engine(process.socket, timeout_s=30.0))
            fleet.members.append(member)
            supervisors.append(
                Supervisor(process, member, swapper.fill, hang_s=hang_s, backoff_s=0.05)
            )
        watch = Engines(supervisors)
        stack.push_async_callback(watch.stop)
        await watch.start()
        runtime = Runtime(settings_of(path), home, store, BASE, fleet, swapper, watch)
        await swapper.promote(add_version(store).name)
        url = await stack.enter_async_context(service(runtime, CycleView()))
        client = httpx.AsyncClient(base_url=url, timeout=60)
        yield Served(runtime, processes, await stack.enter_async_context(client))


def _process(home: Home, place: int) -> EngineProcess:
    arguments = (sys.executable, str(engine_process.__file__))
    return EngineProcess(
        "fake", served_name=BASE.version_name, run_dir=home.run / f"e{place}",
        log=home.logs / f"e{place}.log", settings=EngineSettings(start_timeout_s=60.0),
        command=lambda socket: Command(
            (*arguments, str(socket), BASE.version_name), {"PYTHONPATH": str(ROOT)}
        ),
    )  # fmt: skip


async def killed(served: Served) -> None:
    """The process and all that belongs to it die."""
    pid = served.processes[0].pid
    assert pid
    os.killpg(pid, signal.SIGKILL)


async def stopped(served: Served) -> None:
    """It is there and takes connections, and does nothing."""
    pid = served.processes[0].pid
    assert pid
    os.killpg(pid, signal.SIGSTOP)


async def hanging(served: Served) -> None:
    """It says that it is well and answers nothing else."""
    await served.fault(0, hangs=True)


Fault = Callable[[Served], Awaitable[None]]


# A connection that is made in the moment in which its other end dies is left open by asyncio.
@pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "cases",
    [
        [(killed, engines, begun) for engines in (1, 2) for begun in (False, True)],
        # Each of these takes seconds, until it counts as hanging.
        [(hanging, 1, False), (hanging, 2, True), (stopped, 1, True), (stopped, 2, False)],
    ],
    ids=["killed", "silent"],
)
def test_no_request_is_lost_when_an_engine_goes(
    tmp_path: Path, cases: list[tuple[Fault, int, bool]]
) -> None:
    """What had streamed nothing is answered by a peer, or after the restart; a stream that had
    begun says that it broke. With one engine and with two, before a word and in the middle."""

    async def all_at_once() -> None:
        await asyncio.gather(*(goes(tmp_path / f"home{n}", *case) for n, case in enumerate(cases)))

    asyncio.run(all_at_once())
    for home in tmp_path.iterdir():
        check_home(home)


async def goes(home: Path, fault: Fault, engines: int, begun: bool) -> None:
    """One engine of so many goes, before or after answers have begun, and comes back."""
    # One that is to die at once must not be found silent before, on a machine that is busy.
    patience = PATIENT_S if fault is killed else HANG_S
    async with served(home, engines, patience) as all_:
        live = all_.runtime.live()

        async def meanwhile() -> None:
            await all_.at_work()
            await asyncio.sleep(0.4 if begun else 0.0)
            await fault(all_)
            TALLY.inject(f"engine {fault.__name__}, of {engines}")

        check_requests(await ask_many(all_.client, CLIENTS, meanwhile))
        async with asyncio.timeout(60):
            while not all_.runtime.engines.restarts or len(all_.runtime.engine.ready) < engines:
                await asyncio.sleep(0.02)
        held = [member.holds(live) for member in all_.runtime.engine.members]
        TALLY.check(all(held), "every engine holds what is live before it gets requests")
        after = [await ask(all_.client, f"after {n}", stream=n == 0) for n in range(3)]
        TALLY.check([a.how for a in after] == ["answered"] * 3, f"it answers again: {after}")
        heard = all(f"{live} heard after" in a.words for a in after)
        TALLY.check(heard, f"the live version answers: {after}")
        check_home(home, alone=False)


def test_an_engine_that_forgot_its_adapters_is_filled_again(tmp_path: Path) -> None:
    """Started anew behind our back: what it refuses is asked again once it holds it."""

    async def scenario() -> None:
        async with served(tmp_path, 1) as all_:
            await all_.fault(0, adapters={})
            TALLY.inject("engine that lost its adapters")

            async def nothing() -> None:
                pass

            check_requests(await ask_many(all_.client, CLIENTS, nothing))

    asyncio.run(scenario())
    check_home(tmp_path)


def test_a_stream_that_breaks_off_says_so_and_its_thread_goes_on(tmp_path: Path) -> None:
    """The unfinished turn is not kept; the same question asked again is answered."""

    async def scenario() -> list[Outcome]:
        async with served(tmp_path, 1) as all_:
            await all_.fault(0, cut_after=3)
            TALLY.inject("stream cut in the middle")
            return [
                await ask(all_.client, "the same", stream=True, thread_id="t") for _ in range(2)
            ]

    broken, again = asyncio.run(scenario())
    TALLY.check((broken.how, broken.begun) == ("error", True), f"it says that it broke: {broken}")
    TALLY.check(again.how == "answered", f"the thread goes on: {again}")
    check_home(tmp_path)


def test_a_slow_engine_is_waited_for(tmp_path: Path) -> None:
    """Slow is not dead: it is not started anew, and nothing fails."""

    async def scenario() -> None:
        async with served(tmp_path, 1) as all_:
            await all_.fault(0, delay_s=2 * HANG_S)
            TALLY.inject("slow engine")

            async def nothing() -> None:
                pass

            outcomes = await ask_many(all_.client, CLIENTS, nothing)
            TALLY.check({o.how for o in outcomes} == {"answered"}, f"all are answered: {outcomes}")
            TALLY.check(all_.runtime.engines.restarts == 0, "it is not started anew")

    asyncio.run(scenario())
    check_home(tmp_path)
