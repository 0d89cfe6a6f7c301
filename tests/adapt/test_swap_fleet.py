"""Swapping on several engines: made ready on all, flipped once, or nothing changed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from swap_store import BASE, candidate, fake, fleet_swapper, live, opened_store

from adapt.swap_member import Common
from agent.engine import Engine
from agent.fleet_member import Member
from store import Store
from store.errors import EngineRefused, EngineUnavailable, StageError
from store.records import VersionState


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    yield from opened_store(tmp_path)


def test_every_engine_holds_a_version_before_it_is_live(store: Store, tmp_path: Path) -> None:
    name, engines = candidate(store, tmp_path), [fake(), fake(), fake()]
    swapper = fleet_swapper(store, *engines)
    asyncio.run(swapper.promote(name))
    assert live(store) == name
    assert all(list(engine.adapters) == [name] for engine in engines)
    assert all(member.holds(name) for member in swapper.fleet.members)


def test_one_engine_that_refuses_leaves_all_as_they_were(store: Store, tmp_path: Path) -> None:
    """What the others had loaded already is gone again."""
    name, engines = candidate(store, tmp_path), [fake(), fake()]
    engines[1].fail("load_lora_adapter", 400, "rank too large")
    swapper = fleet_swapper(store, *engines)
    with pytest.raises(EngineRefused, match="rank too large"):
        asyncio.run(swapper.promote(name))
    assert live(store) == BASE
    assert not any(engine.adapters for engine in engines)
    assert store.versions.get(name).state is VersionState.CANDIDATE


def test_one_engine_that_serves_other_bytes_leaves_all_as_they_were(
    store: Store, tmp_path: Path
) -> None:
    name, engines = candidate(store, tmp_path), [fake(), fake(right=False)]
    with pytest.raises(StageError, match="does not serve"):
        asyncio.run(fleet_swapper(store, *engines).promote(name))
    assert live(store) == BASE
    assert not any(engine.adapters for engine in engines)


def test_a_dead_engine_does_not_hold_up_the_others(store: Store, tmp_path: Path) -> None:
    """It leaves the fleet, and holds the version before it gets requests again."""
    name, engines = candidate(store, tmp_path), [fake(), fake()]
    engines[1].down = True
    swapper = fleet_swapper(store, *engines)

    async def work() -> None:
        await swapper.promote(name)
        dead = swapper.fleet.members[1]
        assert not dead.ready and dead.broken.is_set()
        engines[1].down = False
        await dead.look()
        await swapper.fill(dead)
        assert dead.holds(name)

    asyncio.run(work())
    assert live(store) == name
    assert list(engines[1].adapters) == [name]


def test_with_all_engines_dead_nothing_is_live_that_was_not(store: Store, tmp_path: Path) -> None:
    name, engines = candidate(store, tmp_path), [fake(), fake()]
    for engine in engines:
        engine.down = True
    with pytest.raises(EngineUnavailable):
        asyncio.run(fleet_swapper(store, *engines).promote(name))
    assert live(store) == BASE


def test_a_joining_engine_gets_what_is_live_and_what_runs_are_bound_to(
    store: Store, tmp_path: Path
) -> None:
    first, second = candidate(store, tmp_path), candidate(store, tmp_path, 2)
    engines = [fake(), fake()]
    swapper = fleet_swapper(store, engines[0])

    async def work() -> None:
        await swapper.promote(first)
        swapper.pinned = lambda: {first}
        await swapper.promote(second)
        joining = Member("late", Engine(Path("-"), transport=engines[1]))
        await joining.look()
        await swapper.fill(joining)
        assert joining.holds(second) and joining.holds(first)

    asyncio.run(work())


def test_the_usual_beginning_is_computed_before_the_flip(store: Store, tmp_path: Path) -> None:
    """Under the new version's name: its cache is its own."""
    name, engine = candidate(store, tmp_path), fake()
    swapper = fleet_swapper(store, engine)
    swapper.common = Common(({"role": "system", "content": "You help."},))
    asyncio.run(swapper.promote(name))
    asked = [body for path, body in engine.requests if path == "/v1/chat/completions"]
    assert [body["model"] for body in asked] == [name]
    assert asked[0]["messages"][0]["content"] == "You help."


def test_two_swaps_at_once_are_one_after_the_other(store: Store, tmp_path: Path) -> None:
    """The second one finds the first one's version live."""
    first, second = candidate(store, tmp_path), candidate(store, tmp_path, 2)
    swapper = fleet_swapper(store, fake())

    async def work() -> None:
        one, two = await asyncio.gather(swapper.promote(first), swapper.promote(second))
        assert (one.previous, two.previous) == (BASE, first)

    asyncio.run(work())
    assert live(store) == second
