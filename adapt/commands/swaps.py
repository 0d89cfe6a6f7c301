"""`perennial versions verify|promote|rollback`: what needs bytes, an engine or a swap."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from adapt import canary
from adapt.commands import Options
from adapt.running import Running, find_running
from adapt.runtime import Runtime, open_runtime
from adapt.show import CycleView
from agent.config import Settings
from store import Store
from store.errors import IntegrityError
from store.records import Version


def verify(options: Options, name: str) -> int:
    """Read every byte of a version again; with a running server, probe its engine as well."""
    settings = options.settings()
    with options.read_store() as store:
        version = store.versions.get(name)
        _verify_bytes(settings, store, version)
        difference = asyncio.run(_probed(settings, version))
    said = "the bytes are those recorded"
    if difference is not None:
        said += f"; the engine's log-probabilities differ by {difference:.5f}"
    value = {"version": name, "bytes": True, "probe_difference": difference}
    options.put(value, f"{name}: {said}")
    return 0


def _verify_bytes(settings: Settings, store: Store, version: Version) -> None:
    if version.kind != "base":
        store.artifacts.verify(version.path)
        return
    from adapt.base import find_model

    base = find_model(settings.model, store.home.path / "digests")
    if base.digest != version.digest:
        raise IntegrityError(
            f"{base.path} has digest {base.digest[:12]}, the record of {version.name} says "
            f"{version.digest[:12]}",
            "the model's files changed, or --home belongs to another model",
        )


async def _probed(settings: Settings, version: Version) -> float | None:
    """Largest difference from the probe, None where no engine holds the version."""
    running = find_running(settings)
    return await running.verify(version.name) if running else None


def promote(options: Options, name: str) -> int:
    """Make a version live."""
    with options.read_store() as store:
        store.versions.get(name)  # an engine takes half a minute to start, to say the same
    return _swap(
        options,
        lambda running: running.promote(name),
        lambda runtime: _make_live(runtime, name),
    )


async def _make_live(runtime: Runtime, name: str) -> dict[str, Any]:
    return asdict(await canary.make_live(runtime, name))


def roll_back(options: Options) -> int:
    """Withdraw the canary if there is one, else go back to what was live before."""
    if find_running(options.settings()) is None:
        with options.read_store() as store:
            canary.refuse_nothing(store)  # an engine takes half a minute to start, to say the same
    return _swap(options, lambda running: running.roll_back(), canary.take_back)


def _swap(
    options: Options,
    there: Callable[[Running], Awaitable[dict[str, Any]]],
    here: Callable[[Runtime], Awaitable[dict[str, Any]]],
) -> int:
    """Swap in the running server, or in a runtime opened for it."""

    async def swap() -> dict[str, Any]:
        settings = options.settings()
        running = find_running(settings)
        if running is not None:
            return await there(running)
        with CycleView() as view:
            async with open_runtime(settings, view.engine) as runtime:
                return await here(runtime)

    options.read_store().close()  # a swap in a home that is not there would start an engine first
    done = asyncio.run(swap())
    was = f", before: {done['previous']}" if done["previous"] else ""
    was += f", withdrawn: {done['withdrawn']}" if done.get("withdrawn") else ""
    options.put(done, f"{done['live']} is live{was} ({done['milliseconds']:.0f} ms)")
    return 0
