"""Swapping: the alias moves only when the engine serves the right bytes, and nothing is lost."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from swap_store import candidate, fake, opened_store

from adapt.swap import Swapper
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from agent.fleet import Fleet
from store import Store
from store.errors import EngineRefused, IntegrityError, StageError, StateError
from store.records import VersionState


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    yield from opened_store(tmp_path)


def swapper_on(
    store: Store, engine: FakeVllm, pinned: Callable[[], set[str]] = set, keep: int = 2
) -> Swapper:
    fleet = Fleet.of(Engine(Path("-"), transport=engine), "v0-base")
    return Swapper(store, fleet, pinned, keep)


def test_a_promoted_version_is_loaded_probed_and_live(store: Store, tmp_path: Path) -> None:
    """The old version is retired and stays loaded for going back."""
    name, engine = candidate(store, tmp_path), fake()
    swapped = asyncio.run(swapper_on(store, engine).promote(name))
    live = store.versions.live()
    assert live is not None and (live.name, swapped.previous) == (name, "v0-base")
    assert list(engine.adapters) == [name]


def test_other_bytes_in_the_engine_stop_the_swap(store: Store, tmp_path: Path) -> None:
    """Log-probabilities that differ from the probe leave the old version live."""
    name = candidate(store, tmp_path)
    swapper = swapper_on(store, fake(right=False))
    with pytest.raises(StageError, match="does not serve"):
        asyncio.run(swapper.promote(name))
    assert store.versions.live().name == "v0-base"  # type: ignore[union-attr]


def test_a_refused_load_leaves_the_old_version_live(store: Store, tmp_path: Path) -> None:
    """An engine error is an error, and the alias has not moved."""
    name, engine = candidate(store, tmp_path), fake()
    engine.fail("load_lora_adapter", 400, "rank too large")
    with pytest.raises(EngineRefused, match="rank too large"):
        asyncio.run(swapper_on(store, engine).promote(name))
    assert store.versions.live().name == "v0-base"  # type: ignore[union-attr]


def test_a_changed_adapter_is_not_loaded(store: Store, tmp_path: Path) -> None:
    """Bytes on disk that differ from their digest never reach the engine."""
    name, engine = candidate(store, tmp_path), fake()
    path = store.artifacts.path(store.versions.get(name).path) / "adapter_model.safetensors"
    path.chmod(0o600)
    path.write_bytes(b"other")
    with pytest.raises(IntegrityError, match="adapter_model"):
        asyncio.run(swapper_on(store, engine).promote(name))
    assert not engine.adapters


def test_rolling_back_returns_to_the_version_before(store: Store, tmp_path: Path) -> None:
    """Also when the engine has lost the older adapter: it is loaded again first."""
    first, second, engine = candidate(store, tmp_path), candidate(store, tmp_path, 2), fake()
    swapper = swapper_on(store, engine)
    for name in (first, second):
        asyncio.run(swapper.promote(name))
    engine.adapters.clear()
    assert asyncio.run(swapper.roll_back()).live == first
    assert first in engine.adapters
    assert store.versions.get(second).state is VersionState.ROLLED_BACK


def test_nothing_before_the_base_to_roll_back_to(store: Store) -> None:
    """The error says so."""
    swapper = swapper_on(store, fake())
    with pytest.raises(StateError, match="nothing to roll back to"):
        asyncio.run(swapper.roll_back())


def test_versions_that_still_have_runs_are_not_unloaded(store: Store, tmp_path: Path) -> None:
    """Old versions go, pinned ones stay until their runs end."""
    engine, pinned = fake(), set[str]()
    swapper = Swapper(
        store, Fleet.of(Engine(Path("-"), transport=engine), "v0-base"), lambda: pinned, keep=1
    )
    names = [candidate(store, tmp_path, n) for n in (1, 2, 3)]
    pinned.add(names[0])
    for name in names:
        asyncio.run(swapper.promote(name))
    assert set(engine.adapters) == set(names)
    pinned.clear()
    assert asyncio.run(swapper.trim()) == [names[0]]
