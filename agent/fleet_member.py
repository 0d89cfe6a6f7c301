"""One engine of a fleet: what it serves, how busy it is, and whether it may be asked.

Routes nothing and loads nothing: `agent.fleet` asks it, `adapt.swap` changes what it holds, and its
supervisor says whether it is ready.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.engine import Engine
from store.errors import EngineError

FAILURES = 3
"""So many requests in a row without an answer, and an engine is left alone for a while."""
PAUSE_S, MAX_PAUSE_S = 2.0, 60.0
POLL_S = 0.02


class Breaker:
    """Keeps requests from an engine that does not answer; one is let through after each pause.

    `clock` gives seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._until = 0.0

    @property
    def closed(self) -> bool:
        """Whether requests may pass."""
        return self._failures < FAILURES or self._clock() >= self._until

    def failed(self) -> None:
        """Count a request without an answer."""
        self._failures += 1
        if self._failures >= FAILURES:
            doublings = min(self._failures - FAILURES, 10)
            self._until = self._clock() + min(PAUSE_S * 2**doublings, MAX_PAUSE_S)

    def answered(self) -> None:
        """Count an answer: all is well again."""
        self._failures = 0


class Member:
    """An engine and what is known of it. `served` is vLLM's own name for its weights, `weights` the
    version that these are: another one once weights were replaced in place."""

    def __init__(self, name: str, engine: Engine, *, revives: bool = False) -> None:
        """`revives`: somebody watches it and brings it back, so that waiting for it has sense."""
        self.name = name
        self.engine = engine
        self.revives = revives
        self.served = ""
        self.weights = ""
        self.adapters: set[str] = set()
        self.ready = False
        """Whether it gets requests."""
        self.broken = asyncio.Event()
        """Set by who finds that it must be started or filled anew; its supervisor clears it."""
        self.fault: EngineError | None = None
        """Why it was given up."""
        self.breaker = Breaker()
        self.in_flight = 0
        self.seen: float | None = None
        """When who watches it last began to look and found it at work, in seconds of
        time.monotonic; None where nobody watches."""
        self.look_at = 0.0
        """A request was lost: from then on it wants to be looked at."""

    async def look(self) -> None:
        """Ask the engine what it serves; what was known before is forgotten.

        Right after its start only: weights that were replaced in place keep their old name there.
        """
        names = await self.engine.models()
        self.served = self.weights = names[0]
        self.adapters = set(names[1:])
        self.broken.clear()

    def holds(self, version: str) -> bool:
        """Whether it can answer for a version."""
        return version == self.weights or version in self.adapters

    def model_of(self, version: str) -> str:
        """vLLM's name for a version that it holds."""
        return self.served if version == self.weights else version

    def told(self) -> dict[str, Any]:
        """What another process needs to ask it as well; `of` reads it."""
        return {
            "name": self.name, "place": self.engine.place, "ready": self.ready,
            "requests": self.in_flight, "served": self.served, "weights": self.weights,
            "adapters": sorted(self.adapters),
        }  # fmt: skip

    @classmethod
    def of(cls, told: dict[str, Any], timeout_s: float) -> "Member":
        """A member as another process told of it."""
        place = told["place"]
        if "://" in place:
            engine = Engine.ours_at(place, timeout_s)
        else:
            engine = Engine(Path(place), timeout_s=timeout_s)
        member = cls(told["name"], engine)
        member.served, member.weights, member.ready = told["served"], told["weights"], told["ready"]
        member.adapters = set(told["adapters"])
        return member

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Counts a request while it lasts."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    def come_back(self) -> None:
        """From now on it gets requests: who watches it has found it at work."""
        self.seen = time.monotonic()
        self.ready = True

    async def seen_since(self, moment: float, deadline: float) -> None:
        """Wait until it was found at work after `moment`, or is out; no longer than `deadline`.

        One that has died is ready until that is noticed: a request sent there again is lost again.
        """
        self.look_at = max(self.look_at, moment)
        while self.ready and self.seen is not None and self.seen < moment:
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(POLL_S)

    async def idle(self, timeout_s: float) -> bool:
        """Wait until no request is under way; False when that took too long."""
        deadline = time.monotonic() + timeout_s
        while self.in_flight:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True
