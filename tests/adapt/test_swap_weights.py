"""Whole weights in place: on one engine behind a door, on several in turn, and back on failure."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from swap_store import BASE, fleet_swapper, live, merged, opened_store

from agent.fake_engine import FakeVllm
from store import Store
from store.errors import BusyError, EngineRefused, StageError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    yield from opened_store(tmp_path)


def engine(store: Store, right: bool = True) -> FakeVllm:
    """Serves what the probe of its weights says, or always something else once it has new ones."""

    def logprobs(*_: Any) -> dict[int, float]:
        return {7: -0.1 if right or not fake.weights.startswith(str(store.home.path)) else -1.4,
                9: -2.5}  # fmt: skip

    fake = FakeVllm(lambda model, *_: f"{model} on {fake.weights}", served_name=BASE)
    fake.logprobs = logprobs
    return fake


def test_merged_weights_take_the_engines_place(store: Store, tmp_path: Path) -> None:
    """And the engine's own name for them is never told."""
    name, fake = merged(store, tmp_path), engine(store)
    swapper = fleet_swapper(store, fake)
    swapped = asyncio.run(swapper.promote(name))
    assert (live(store), swapped.previous) == (name, BASE)
    assert Path(fake.weights) == store.artifacts.path(store.versions.get(name).path)
    assert swapped.held_ms >= swapped.paused_ms >= swapped.reload_ms > 0
    assert asyncio.run(swapper.fleet.models()) == [name]
    paths = [path for path, _ in fake.requests]
    order = ["/pause", "/collective_rpc", "/reset_prefix_cache", "/resume"]
    assert [path for path in paths if path in order] == order


def test_going_back_puts_the_old_weights_back(store: Store, tmp_path: Path) -> None:
    name, fake = merged(store, tmp_path), engine(store)
    swapper = fleet_swapper(store, fake)

    async def work() -> None:
        await swapper.promote(name)
        assert (await swapper.roll_back()).live == BASE
        assert await swapper.fleet.models() == [BASE]

    asyncio.run(work())
    assert fake.weights == str(Path("/weights/base"))


def test_weights_that_answer_something_else_are_taken_out_again(
    store: Store, tmp_path: Path
) -> None:
    name, fake = merged(store, tmp_path), engine(store, right=False)
    swapper = fleet_swapper(store, fake)
    with pytest.raises(StageError, match="does not serve"):
        asyncio.run(swapper.promote(name))
    assert live(store) == BASE
    assert fake.weights == "/weights/base" and not fake.paused
    (member,) = swapper.fleet.members
    assert member.ready and member.weights == BASE


@pytest.mark.parametrize("step", ["pause", "collective_rpc", "reset_prefix_cache", "completions"])
def test_a_refusal_at_any_step_leaves_the_old_version_served(
    store: Store, tmp_path: Path, step: str
) -> None:
    name, fake = merged(store, tmp_path), engine(store)
    fake.fail(step, 500)
    swapper = fleet_swapper(store, fake)
    with pytest.raises(EngineRefused, match="told to fail"):
        asyncio.run(swapper.promote(name))
    assert live(store) == BASE
    assert asyncio.run(swapper.fleet.models()) == [BASE]
    assert not fake.paused and fake.weights in ("", "/weights/base")


def test_an_engine_that_cannot_go_back_is_started_again(store: Store, tmp_path: Path) -> None:
    """Its supervisor is told; until then it gets no requests."""
    name, fake = merged(store, tmp_path), engine(store)
    fake.fail("reset_prefix_cache", 500)
    fake.fail("reset_prefix_cache", 500)
    swapper = fleet_swapper(store, fake)
    with pytest.raises(EngineRefused):
        asyncio.run(swapper.promote(name))
    (member,) = swapper.fleet.members
    assert live(store) == BASE
    assert member.broken.is_set() and not member.ready


def test_runs_under_way_end_on_the_old_weights_and_new_ones_wait(
    store: Store, tmp_path: Path
) -> None:
    """The door is shut until all that were inside have left."""
    name, fake = merged(store, tmp_path), engine(store)
    fake.delay_s = 0.2
    swapper = fleet_swapper(store, fake)
    question = [{"role": "user", "content": "x"}]

    async def request() -> str:
        async with swapper.door.passed():
            asked = live(store)
            return (await swapper.fleet.chat(asked, question, max_tokens=8)).model

    async def work() -> list[str]:
        early = [asyncio.create_task(request()) for _ in range(4)]
        await asyncio.sleep(0.05)
        swapping = asyncio.create_task(swapper.promote(name))
        await asyncio.sleep(0.05)
        late = [asyncio.create_task(request()) for _ in range(4)]
        await swapping
        return await asyncio.gather(*early, *late)

    assert asyncio.run(work()) == [BASE] * 4 + [name] * 4


def test_runs_that_do_not_end_stop_the_swap(store: Store, tmp_path: Path) -> None:
    """Nothing has changed, and requests go on."""
    name, fake = merged(store, tmp_path), engine(store)
    swapper = fleet_swapper(store, fake)
    swapper.drain_s = 0.05

    async def work() -> None:
        async with swapper.door.passed():
            with pytest.raises(BusyError, match="still under way"):
                await swapper.promote(name)

    asyncio.run(work())
    assert live(store) == BASE and not fake.weights
    swapper.pinned = lambda: {BASE}
    with pytest.raises(BusyError, match="runs are still under way"):
        asyncio.run(swapper.promote(name))
    assert live(store) == BASE and not fake.weights


def test_with_two_engines_old_runs_go_on_and_nobody_waits(store: Store, tmp_path: Path) -> None:
    """One serves the old version until its last run has ended, the other the new one."""
    name, engines = merged(store, tmp_path), [engine(store), engine(store)]
    swapper = fleet_swapper(store, *engines)
    pinned = {BASE}
    swapper.pinned = lambda: set(pinned)
    question = [{"role": "user", "content": "x"}]

    async def work() -> None:
        swapping = asyncio.create_task(swapper.promote(name))
        while live(store) == BASE:
            await asyncio.sleep(0.01)
        for version in (BASE, name):
            reply = await swapper.fleet.chat(version, question, max_tokens=8)
            assert reply.model == version
        assert not swapping.done()
        pinned.clear()
        swapped = await swapping
        assert swapped.held_ms == 0
        assert await swapper.fleet.models() == [name]

    asyncio.run(work())
    assert all(fake.weights for fake in engines)


def test_when_the_first_of_two_fails_both_serve_the_old(store: Store, tmp_path: Path) -> None:
    name, engines = merged(store, tmp_path), [engine(store), engine(store)]
    engines[0].fail("collective_rpc", 500)
    swapper = fleet_swapper(store, *engines)
    with pytest.raises(EngineRefused):
        asyncio.run(swapper.promote(name))
    assert live(store) == BASE
    assert [member.weights for member in swapper.fleet.ready] == [BASE, BASE]


def test_when_the_second_of_two_fails_the_new_version_is_live(store: Store, tmp_path: Path) -> None:
    """The engine that cannot follow is started again with the weights of what is live."""
    name, engines = merged(store, tmp_path), [engine(store), engine(store)]
    engines[1].fail("collective_rpc", 500)
    swapper = fleet_swapper(store, *engines)
    asyncio.run(swapper.promote(name))
    assert live(store) == name
    assert [member.name for member in swapper.fleet.ready] == ["e0"]
    assert swapper.fleet.members[1].broken.is_set()
