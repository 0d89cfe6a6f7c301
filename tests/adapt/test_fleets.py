"""The engines of a home by its settings: which there are, how they start, and what they take."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fake_runtime import settings_of
from swap_store import BASE, candidate, fake, opened_store

from adapt.fleets import SETTLED, Engines, engines_of, memory_of
from adapt.swap import Swapper
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from agent.fleet import Fleet
from agent.fleet_member import Member
from agent.serve import EngineProcess
from agent.serve_command import Command
from agent.serve_supervisor import Supervisor, Watcher
from store import Store
from store.errors import EngineUnavailable

STUB = Path(__file__).parents[1] / "stub_engine.py"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    yield from opened_store(tmp_path)


def test_the_settings_say_which_engines_there_are(store: Store, tmp_path: Path) -> None:
    """Those of our own each have a socket and a log."""
    settings = settings_of(tmp_path, fleet__engines=2, fleet__urls=["http://10.0.0.7:8000"])
    swapper = Swapper(store, Fleet())
    engines = engines_of(settings, store.home, swapper, tmp_path)
    assert [m.name for m in swapper.fleet.members] == ["engine", "engine-1", "http://10.0.0.7:8000"]
    assert len({m.engine.place for m in swapper.fleet.members}) == 3
    assert [type(s) for s in engines.supervisors] == [Supervisor, Supervisor, Watcher]


def test_no_engine_at_all_is_said(store: Store, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, fleet__engines=0)
    engines = engines_of(settings, store.home, Swapper(store, Fleet()), tmp_path)
    with pytest.raises(EngineUnavailable, match=r"fleet\.engines is 0"):
        asyncio.run(engines.start())


def stub(tmp_path: Path, name: str, mode: str) -> EngineProcess:
    return EngineProcess(
        "base", served_name="base", run_dir=tmp_path / name, log=tmp_path / f"{name}.log",
        settings=settings_of(tmp_path).engine,
        command=lambda socket: Command((sys.executable, str(STUB), str(socket), mode), {}),
    )  # fmt: skip


async def nothing(_: Member) -> None:
    """Nothing to fill."""


def test_when_one_of_ours_does_not_start_none_is_left(tmp_path: Path) -> None:
    """The error is the engine's own."""
    well, ill = stub(tmp_path, "a", "ok"), stub(tmp_path, "b", "dies")
    engines = Engines(
        [Supervisor(p, Member(p.run_dir.name, Engine(p.socket)), nothing) for p in (well, ill)]
    )
    with pytest.raises(EngineUnavailable, match="three heads and no body"):
        asyncio.run(engines.start())
    assert not well.alive() and not ill.alive()


def test_an_engine_elsewhere_joins_when_it_answers(store: Store, tmp_path: Path) -> None:
    """With what is live, before it gets requests; the start does not wait for it."""
    name, near, far = candidate(store, tmp_path), fake(), fake()
    far.down = True
    swapper = Swapper(store, Fleet([], wait_s=1.0))
    watchers: list[Watcher] = []
    for place, engine in enumerate((near, far)):
        member = Member(f"e{place}", Engine(Path("-"), transport=engine))
        swapper.fleet.members.append(member)
        watchers.append(Watcher(member, swapper.fill))
    swapper.weights_at = lambda _: Path("/weights/base")
    engines = Engines(watchers)

    async def work() -> None:
        await engines.start()
        await swapper.promote(name)
        assert not swapper.fleet.members[1].ready
        far.down = False
        async with asyncio.timeout(10):
            while not swapper.fleet.members[1].ready:
                await asyncio.sleep(0.01)
        assert list(far.adapters) == [name]
        await engines.stop()

    asyncio.run(work())
    assert BASE in near.served_name


class Lost(FakeVllm):
    """Forgets its adapters, as a server that somebody restarts."""

    def restart(self) -> None:
        self.adapters.clear()
        self.weights = ""


def test_an_engine_elsewhere_that_was_restarted_is_filled_again(
    store: Store, tmp_path: Path
) -> None:
    name = candidate(store, tmp_path)
    engine = Lost(lambda *_: "", served_name=BASE, logprobs=lambda *_: {7: -0.1, 9: -2.5})
    member = Member("e", Engine(Path("-"), transport=engine))
    swapper = Swapper(store, Fleet([member], wait_s=2.0))
    swapper.weights_at = lambda _: Path("/weights/base")
    engines = Engines([Watcher(member, swapper.fill, patience_s=0.0)])
    question = [{"role": "user", "content": "x"}]

    async def work() -> None:
        await engines.start()
        await swapper.promote(name)
        engine.restart()
        # Whoever asks before the watcher has seen it waits until the adapter is back.
        reply = await swapper.fleet.chat(name, question, max_tokens=4)
        assert reply.model == name and engines.restarts == 1
        await engines.stop()

    asyncio.run(asyncio.wait_for(work(), 20))


def test_memory_that_does_not_come_back_starts_an_engine_anew(tmp_path: Path) -> None:
    """Only once its level is known, and only while a peer serves."""

    async def work() -> None:
        processes = [stub(tmp_path, name, "ok") for name in "ab"]
        members = [Member(p.run_dir.name, Engine(p.socket)) for p in processes]
        engines = Engines(
            [
                Supervisor(p, m, nothing, backoff_s=0.05)
                for p, m in zip(processes, members, strict=True)
            ]
        )
        await engines.start()
        try:
            for _ in range(SETTLED + 1):
                await engines.after_swap()
            assert engines.restarts == 0
            engines.memory["a"][SETTLED - 1] //= 2
            first = processes[0].pid
            await engines.after_swap()
            async with asyncio.timeout(20):
                while not (members[0].ready and engines.restarts == 1):
                    await asyncio.sleep(0.02)
            assert processes[0].pid != first and "b" in engines.memory
        finally:
            await engines.stop()

    asyncio.run(asyncio.wait_for(work(), 60))


def test_memory_is_of_a_process_and_all_below_it() -> None:
    assert memory_of(os.getpid()) > 10 * 2**20
    assert memory_of(None) == 0


def test_a_server_elsewhere_is_asked_under_its_url() -> None:
    """Its adapter endpoints stand at the root, not below /v1/v1."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json={"data": [{"id": "base"}]})

    engine = Engine.ours_at("http://10.0.0.7:8000/", transport=httpx.MockTransport(answer))
    assert asyncio.run(engine.models()) == ["base"]
    assert seen == ["http://10.0.0.7:8000/v1/models"]
