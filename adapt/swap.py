"""Putting a version in front of users and taking it back, with nothing lost in between.

A version is made ready on every engine under its own name beside the live one, proved there, and
only then the alias is flipped, once, in one transaction; runs that began on the old version end on
it. Knows nothing of how a version was made or judged. Called by adapt.cycle, adapt.runtime and the
command line.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from adapt.budget import require_weights
from adapt.probe import ProbeComparison
from adapt.swap_member import Common, Hands
from adapt.swap_weights import replace_weights
from agent.door import Door
from agent.fleet import Fleet
from agent.fleet_member import Member
from store import Store
from store.errors import EngineUnavailable
from store.records import Version, VersionState


@dataclass(frozen=True)
class Swapped:
    """What is live now, what was before, and how long it took, in milliseconds.

    `flip_ms` is the change of the alias. Of a change of weights: `held_ms` new requests waited at
    most, of which the engine stood still for `paused_ms`, of which it loaded for `reload_ms`.
    """

    live: str
    previous: str | None
    milliseconds: float
    flip_ms: float = 0.0
    held_ms: float = 0.0
    paused_ms: float = 0.0
    reload_ms: float = 0.0


@dataclass
class Swapper:
    """Moves versions between the store and the engines.

    `pinned` tells which versions still have runs; they are not unloaded. `keep` versions besides
    the live one stay loaded, so that going back needs no load. `weights_at` is the directory of a
    version's whole weights. One swap at a time.
    """

    store: Store
    fleet: Fleet
    pinned: Callable[[], set[str]] = set
    keep: int = 2
    drain_s: float = 120.0
    weights_at: Callable[[Version], Path] = lambda version: Path(version.path)
    wanted: Callable[[], set[str]] = set
    """Further versions that must stay loaded: a canary."""
    after: Callable[[], Awaitable[None]] | None = None
    """Awaited when another version is live and the old ones are gone."""
    door: Door = field(default_factory=Door)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.hands = Hands(self.store, lambda version: self.weights_at(version))
        # A thread of its own: a flip must not queue behind what runs of the agent do in threads.
        self._flipper = ThreadPoolExecutor(1, "flip")

    @property
    def common(self) -> Common:
        """What most conversations begin with."""
        return self.hands.common

    @common.setter
    def common(self, common: Common) -> None:
        self.hands.common = common

    async def load(self, version: Version) -> None:
        """Make every engine hold a version, after checking that its bytes are those recorded."""
        for member in self._members():
            await self.hands.hold(member, version)

    async def check(self, version: Version) -> ProbeComparison | None:
        """Compare what the engines answer with the version's own log-probabilities: the worst.

        StageError when they differ. None for the first base, which has no probe.
        """
        found = [await self.hands.prove(member, version) for member in self._members()]
        return max(filter(None, found), key=lambda c: c.max_abs_diff, default=None)

    async def verify(self, version: Version) -> ProbeComparison | None:
        """The same of those engines that hold the version; None when none does."""
        holders = [member for member in self.fleet.ready if member.holds(version.name)]
        found = [await self.hands.prove(member, version) for member in holders]
        return max(filter(None, found), key=lambda c: c.max_abs_diff, default=None)

    async def promote(self, name: str) -> Swapped:
        """Make a version ready everywhere, then flip the alias to it. The old one stays live on
        any failure."""
        async with self.lock:
            return await self._promote(name)

    async def _promote(self, name: str) -> Swapped:
        version = self.store.versions.get(name)

        def approve() -> None:
            if version.state in _TRIED:
                self.store.versions.move(name, VersionState.PROMOTED)

        return await self._change(version, lambda: self.store.versions.go_live(name), approve)

    async def roll_back(self) -> Swapped:
        """Go back to what was live before. It is made ready first."""
        async with self.lock:
            live, target = self.store.versions.to_roll_back()

            def back() -> str:
                self.store.versions.roll_back()
                return live.name

            return await self._change(target, back)

    async def _change(
        self,
        version: Version,
        flip: Callable[[], str | None],
        approve: Callable[[], None] = lambda: None,
    ) -> Swapped:
        began = time.perf_counter()
        require_weights(self.store, version)
        line = self.hands.line_of(version).name
        if any(member.weights != line for member in self._members()):
            await asyncio.to_thread(approve)
            took = await replace_weights(self, version, flip)
        else:
            await self._prepare(version)
            await asyncio.to_thread(approve)
            flipping = time.perf_counter()
            previous = await asyncio.get_running_loop().run_in_executor(self._flipper, flip)
            took = {"previous": previous, "flip_ms": 1000 * (time.perf_counter() - flipping)}
        swapped = Swapped(version.name, milliseconds=1000 * (time.perf_counter() - began), **took)
        await self.trim()
        if self.after:
            await self.after()
        return swapped

    async def _prepare(self, version: Version) -> None:
        """Load, prove and warm on every engine; undone everywhere when one fails.

        An engine that died meanwhile does not count: it is filled again before it gets requests.
        """
        members = self._members()
        fresh = [m for m in members if not m.holds(version.name)]
        lost: list[EngineUnavailable] = []
        try:
            for member in members:
                try:
                    await self.hands.hold(member, version)
                    await self.hands.prove(member, version)
                    await self.hands.warm(member, version)
                except EngineUnavailable as error:
                    lost.append(error)
                    self._leave(member)
            if len(lost) == len(members):
                raise lost[0]
        except BaseException:
            for member in fresh:
                if member.holds(version.name):
                    await self.hands.drop(member, version.name)
            raise

    def _leave(self, member: Member) -> None:
        """Take an engine that does not answer out of the fleet, where somebody brings it back."""
        if member.revives:
            member.ready = False
            member.broken.set()

    async def fill(self, member: Member) -> None:
        """After an engine's start: have it hold what is live and what runs are bound to, before
        any traffic, and prove it."""
        async with self.lock:
            live = self.store.versions.live()
            if live is None:
                return
            line = self.hands.line_of(live)
            if member.weights != line.name:
                # Started by somebody else, on other weights than those that are live.
                await self.hands.verify(line)
                await self.hands.replace(member, live)
            await self.hands.hold(member, live)
            await self.hands.prove(member, live)
            for name in sorted((self.pinned() | self.wanted()) - {live.name}):
                version = self.store.versions.get(name)
                if self.hands.line_of(version).name == member.weights:
                    await self.hands.hold(member, version)

    async def trim(self) -> list[str]:
        """Unload versions that are neither live, recently live, pinned nor under evaluation."""
        states = self.store.versions.states()
        safe = set(self.store.versions.recently_live(self.keep + 1)) | self.pinned() | self.wanted()
        dropped: list[str] = []
        for member in self._members():
            for name in sorted(member.adapters - safe):
                if states.get(name) in (None, VersionState.CANDIDATE):
                    continue
                if await self.hands.drop(member, name):
                    dropped.append(name)
        return list(dict.fromkeys(dropped))

    def _members(self) -> list[Member]:
        """The engines that get requests. EngineUnavailable when there is none."""
        ready = self.fleet.ready
        if not ready:
            raise EngineUnavailable("no engine is up", "`perennial doctor` tells what is wrong")
        return ready


_TRIED = (VersionState.CANDIDATE, VersionState.REJECTED, VersionState.ABSTAINED)
