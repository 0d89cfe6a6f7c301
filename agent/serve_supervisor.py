"""Keeps one engine of ours running: restarts it when it dies or hangs, and has it filled again.

An engine gets no requests before it holds what is live: a restarted one knows no adapters, and a
request for a pinned version that arrives before they are back would be refused. Lives on one event
loop, beside the server. An engine that others start is watched alike. Opened by adapt.fleets.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from agent.fleet_member import Member
from agent.pulse import until_gone
from agent.serve import EngineProcess, StartProgress
from store.errors import EngineError, EngineUnavailable

POLL_S = 0.25
MAX_BACKOFF_S = 30.0

Fill = Callable[[Member], Awaitable[None]]
"""Has an engine hold what is live, and proves it; runs before it gets requests."""


class Supervisor:
    """Restarts `process` with growing pauses; gives up after `max_failures` failed starts in a
    row."""

    def __init__(
        self,
        process: EngineProcess,
        member: Member,
        fill: Fill,
        *,
        before_start: Callable[[EngineProcess], None] = lambda _: None,
        hang_s: float = 60.0,
        backoff_s: float = 1.0,
        max_failures: int = 5,
    ) -> None:
        """`before_start` tells the process which weights to serve. An engine that leaves a request
        of one token unanswered for `hang_s` is killed."""
        self.process = process
        self.member = member
        member.revives = True
        self.restarts = 0
        """How often the engine has come back."""
        self._fill = fill
        self._before_start = before_start
        self._hang_s = hang_s
        self._backoff_s = backoff_s
        self._max_failures = max_failures
        self._watch: asyncio.Task[None] | None = None

    async def start(self, progress: Callable[[StartProgress], None] | None = None) -> None:
        """Start the engine (one that runs already is taken over), then watch over it.

        A first start that fails is not repeated: its error rises and nothing is left running.
        """
        try:
            await self._bring_up(progress)
        except BaseException:
            await asyncio.to_thread(self.process.stop)
            raise
        self._watch = asyncio.create_task(self._keep_up(), name=f"supervisor-{self.member.name}")

    async def stop(self) -> None:
        """Stop watching, then stop the engine. Idempotent."""
        self.member.ready = False
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        await asyncio.to_thread(self.process.stop)

    async def renew(self, drain_s: float) -> None:
        """Give back the memory that the engine holds on to: start it anew once its requests are
        done. Its peers serve meanwhile; EngineUnavailable when they do not end in `drain_s`."""
        self.member.ready = False
        if not await self.member.idle(drain_s):
            self.member.ready = True
            raise EngineUnavailable(
                f"{self.member.name} is still busy after {drain_s:g} s", "it is tried again later"
            )
        self.member.broken.set()

    async def _bring_up(self, progress: Callable[[StartProgress], None] | None = None) -> None:
        if not self.process.alive():
            self._before_start(self.process)
            self.process.start()
        await self.process.wait_healthy(progress)
        await self.member.look()
        await self._fill(self.member)
        self.member.fault = None
        self.member.come_back()

    async def _keep_up(self) -> None:
        """Wait for a death, bring the engine back, again and again."""
        while True:
            await self._until_dead()
            self.member.ready = False
            await asyncio.to_thread(self.process.stop)
            if not await self._restart():
                return
            self.restarts += 1

    async def _until_dead(self) -> None:
        """Return when the process has ended, hangs, or was found broken."""
        feeling = asyncio.create_task(until_gone(self.member, self._hang_s))
        try:
            while self.process.alive() and not self.member.broken.is_set() and not feeling.done():
                self.member.seen = time.monotonic()
                await asyncio.sleep(POLL_S)
        finally:
            feeling.cancel()
            with suppress(asyncio.CancelledError):
                await feeling

    async def _restart(self) -> bool:
        """Whether the engine came back. Any failure counts: adapters that do not load, too."""
        why = ""
        for failure in range(self._max_failures):
            await asyncio.sleep(min(self._backoff_s * 2**failure, MAX_BACKOFF_S))
            try:
                await self._bring_up()
                return True
            except Exception as error:
                await asyncio.to_thread(self.process.stop)
                why = str(error)
        self.member.fault = EngineUnavailable(
            f"the engine was given up after {self._max_failures} failed starts: {why}",
            "mend the cause and run `perennial up` again",
        )
        self.member.revives = False
        return False


class Watcher:
    """Watches an engine that somebody else starts: out of the fleet while it does not answer,
    filled again before it is back."""

    def __init__(self, member: Member, fill: Fill, *, patience_s: float = 5.0) -> None:
        """It leaves the fleet when it has given no token for `patience_s`."""
        self.member = member
        member.revives = True
        self.restarts = 0
        """How often it has come back."""
        self._fill = fill
        self._patience_s = patience_s
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Fill it, and watch over it from then on. EngineError when it does not answer."""
        await self._bring_up()
        self.wait_for_it()

    def wait_for_it(self) -> None:
        """Watch over it; one that does not answer yet joins when it does."""
        self._watch = asyncio.create_task(self._keep_up(), name=f"watch-{self.member.name}")

    async def stop(self) -> None:
        """Stop watching. The engine goes on."""
        self.member.ready = False
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None

    async def _bring_up(self) -> None:
        await self.member.look()
        await self._fill(self.member)
        self.member.come_back()

    async def _keep_up(self) -> None:
        while True:
            if self.member.ready:
                await until_gone(self.member, self._patience_s)
            self.member.ready = False
            while not self.member.ready:
                await asyncio.sleep(POLL_S * 4)
                with suppress(EngineError):
                    await self._bring_up()
            self.restarts += 1
