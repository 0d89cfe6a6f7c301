"""Everything one process needs to serve and to learn, opened together and closed in order.

Holds the home's lock, the store, the engine with its supervisor, and the swapper. It runs no
cycle and answers no request itself. Opened by `perennial up`, `update`, `ask` and the demo.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapt.base import BaseModel, base_of, find_model
from adapt.fleets import Engines, engines_of
from adapt.swap import Swapper
from agent.config import Settings, home_of
from agent.fleet import Fleet
from agent.serve import StartProgress
from agent.telemetry.logs import logging_as
from agent.telemetry.traces import exporting
from store import Home, Store
from store.errors import ModelError, StateError
from store.records import SkillVector, Version, VersionState, utc_now


@dataclass
class Runtime:
    """The parts of one running Perennial."""

    settings: Settings
    home: Home
    store: Store
    base: BaseModel
    engine: Fleet
    swap: Swapper
    engines: Engines = field(default_factory=lambda: Engines(()))
    """Who watches over the engines; nobody in tests with a fake."""
    cycle_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a cycle is at work: one at a time."""
    visit_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while sources are visited: two at once would ask the same hosts twice as fast."""
    trial_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a trial begins or ends (adapt.canary)."""

    def follow(self) -> None:
        """Have `base` be what the live version's line trains on."""
        version = self.store.versions.live()
        assert version is not None, "a runtime always has a live version"
        self.base = base_of(self.store, version, self.base)

    def live(self) -> str:
        """Name of the live version; read once at the start of a run."""
        version = self.store.versions.live()
        assert version is not None, "a runtime always has a live version"
        return version.name

    def skill_vector(self, path: Path) -> SkillVector:
        """The record of a skill vector directory, refused when made for another base."""
        from adapt.skill.vector import read_card

        vector = read_card(path)
        for name, own in (
            ("base_digest", self.base.digest),
            ("template_digest", self.base.template_digest),
        ):
            if getattr(vector, name) != own:
                raise ModelError(
                    f"the skill vector {path} was made for another model ({name} "
                    f"{getattr(vector, name)[:12]}, here {own[:12]})",
                    "train one for this model, or set update.skill_scale to 0",
                )
        return vector


def ensure_base(store: Store, base: BaseModel) -> Version:
    """The base as version 0, live when nothing else was. A second base in a home is refused."""
    if (there := _base_of(store, base)) is not None:
        return there
    version = Version(
        name=base.version_name,
        number=0,
        digest=base.digest,
        kind="base",
        base_digest=base.digest,
        template_digest=base.template_digest,
        state=VersionState.PROMOTED,
        created_at=utc_now(),
    )
    try:
        store.versions.create(version)
    except StateError:
        # Another process on the same database has made it since we looked.
        if (there := _base_of(store, base)) is None:
            raise
        return there
    store.versions.go_live(version.name)
    return version


def _base_of(store: Store, base: BaseModel) -> Version | None:
    """The base that a home has, live if nothing is. ModelError when it is another."""
    version = next((v for v in store.versions.list() if v.kind == "base"), None)
    if version is None:
        return None
    if version.base_digest != base.digest:
        raise ModelError(
            f"this home belongs to the base {version.base_digest[:12]}, "
            f"not {base.digest[:12]} ({base.path})",
            "use another home (--home) for another model",
        )
    if store.versions.live() is None:
        # Who made it was killed before it went live.
        store.versions.go_live(version.name)
    return version


@asynccontextmanager
async def open_runtime(
    settings: Settings, progress: Callable[[StartProgress], None] | None = None
) -> AsyncIterator[Runtime]:
    """Take the home, start the engine, load what is live, and undo it all at the end.

    BusyError when another process holds the home; EngineUnavailable when vLLM does not start.
    """
    home = home_of(settings)
    home.create()
    async with AsyncExitStack() as stack:
        stack.enter_context(logging_as(settings.telemetry))
        await stack.enter_async_context(exporting(settings.telemetry))
        stack.enter_context(home.lock())
        store = stack.enter_context(Store.open(home))
        base = find_model(settings.model, home.path / "digests")
        ensure_base(store, base)
        fleet = Fleet()
        stack.push_async_callback(fleet.close)
        swapper = Swapper(
            store, fleet,
            keep=min(settings.swap.keep, settings.engine.max_loras - 1),
            drain_s=settings.swap.drain_s,
            weights_at=lambda v: base.path if v.kind == "base" else store.artifacts.path(v.path),
        )  # fmt: skip
        engines = engines_of(settings, home, swapper, base.path)
        stack.push_async_callback(engines.stop)
        await engines.start(progress)
        runtime = Runtime(settings, home, store, base, fleet, swapper, engines)
        runtime.follow()

        async def after() -> None:
            runtime.follow()
            await engines.after_swap()

        swapper.after = after
        yield runtime
