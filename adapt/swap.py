"""Putting a version in front of users and taking it back, with nothing lost in between.

A version is loaded under its own name beside the live one, probed, and only then the alias is
flipped, in one transaction; runs that began on the old version end on it. Knows nothing of how a
version was made or judged. Called by adapt.cycle, adapt.runtime and the command line.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from adapt.probe import ProbeComparison, compare
from agent.engine import Engine
from store import Store
from store.errors import EngineError, StageError, StateError
from store.records import Version, VersionState


@dataclass(frozen=True)
class Swapped:
    """What is live now, what was before, and how long the change took, in milliseconds."""

    live: str
    previous: str | None
    milliseconds: float


class Swapper:
    """Moves versions between the store and one engine.

    `pinned` tells which versions still have runs; they are not unloaded. `keep` versions besides
    the live one stay loaded, so that going back needs no load.
    """

    def __init__(
        self, store: Store, engine: Engine, pinned: Callable[[], set[str]] = set, keep: int = 2
    ) -> None:
        self.store = store
        self.engine = engine
        self.pinned = pinned
        self.keep = keep

    async def load(self, version: Version) -> None:
        """Make the engine hold a version, after checking that its bytes are those recorded."""
        if version.kind != "adapter" or version.name in await self.engine.models():
            return
        self.store.artifacts.verify(version.path)
        await self.engine.load_adapter(version.name, self.store.artifacts.path(version.path))

    async def check(self, version: Version) -> ProbeComparison | None:
        """Compare the engine's next-token log-probabilities with the version's own.

        StageError when they differ: the engine would serve something else under this name. The
        base is what the engine was started with; it has no probe, and None is returned.
        """
        if version.kind == "base":
            return None
        if version.probe is None:
            raise StageError(f"{version.name} has no probe", "make the version again")
        top = []
        for prompt, ids in zip(version.probe.prompts, version.probe.token_ids, strict=True):
            said = await self.engine.top_logprobs(version.name, prompt, k=len(ids))
            top.append((said.token_ids, said.logprobs))
        comparison = compare(version.probe, top)
        if not comparison.ok:
            raise StageError(
                f"the engine does not serve {version.name}: log-probabilities differ by "
                f"{comparison.max_abs_diff:.3f}",
                "restart the engine; the live version is unchanged",
            )
        return comparison

    async def promote(self, name: str) -> Swapped:
        """Load, probe, then flip the alias to a version. The old one stays live on any failure."""
        began = time.perf_counter()
        version = self.store.versions.get(name)
        await self.load(version)
        await self.check(version)
        if version.state in (VersionState.CANDIDATE, VersionState.REJECTED, VersionState.ABSTAINED):
            self.store.versions.move(name, VersionState.PROMOTED)
        previous = self.store.versions.go_live(name)
        swapped = Swapped(name, previous, 1000 * (time.perf_counter() - began))
        await self.trim()
        return swapped

    async def roll_back(self) -> Swapped:
        """Go back to what was live before. It is loaded and probed first."""
        began = time.perf_counter()
        live = self.store.versions.live()
        target = self.store.versions.before_live()
        if live is None or target is None:
            raise StateError(
                f"there is nothing to roll back to: {live.name if live else 'no version'} is live "
                "and no other was",
                "see: perennial versions",
            )
        await self.load(target)
        await self.check(target)
        now = self.store.versions.roll_back()
        return Swapped(now.name, live.name, 1000 * (time.perf_counter() - began))

    async def restore(self) -> None:
        """After an engine start: load what is live, before any traffic, and prove it."""
        live = self.store.versions.live()
        if live is not None:
            await self.load(live)
            await self.check(live)

    async def trim(self) -> list[str]:
        """Unload versions that are neither live, recently live, pinned nor under evaluation."""
        versions = {v.name: v for v in self.store.versions.list()}
        recent = list(dict.fromkeys(f.version for f in reversed(self.store.versions.history())))
        safe = set(recent[: self.keep + 1]) | self.pinned()
        dropped: list[str] = []
        for name in await self.engine.models():
            version = versions.get(name)
            if version is None or version.kind != "adapter" or name in safe:
                continue
            if version.state is VersionState.CANDIDATE:
                continue
            try:
                await self.engine.unload_adapter(name)
            except EngineError:
                # An adapter that stays costs memory, never a request: the next trim tries again.
                continue
            dropped.append(name)
        return dropped
