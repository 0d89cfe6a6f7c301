"""Keeps one engine process running: restarts it when it dies and has its adapters loaded again.

Traffic must wait for `ready()`: a restarted engine knows no adapters, and a request for a pinned
version that arrives before they are back would be refused. Lives on one event loop, beside the
server. Called by `perennial up`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from agent.serve import EngineProcess, StartProgress
from store.errors import EngineError, EngineUnavailable

POLL_S = 0.25
MAX_BACKOFF_S = 30.0


class Supervisor:
    """Restarts `process` with growing pauses; gives up after `max_failures` failed starts in a
    row. `on_ready` loads the adapters and runs before traffic is let through, each time."""

    def __init__(
        self,
        process: EngineProcess,
        on_ready: Callable[[], Awaitable[None]],
        *,
        backoff_s: float = 1.0,
        max_failures: int = 5,
    ) -> None:
        self.process = process
        self.restarts = 0
        """How often the engine has come back."""
        self._on_ready = on_ready
        self._backoff_s = backoff_s
        self._max_failures = max_failures
        self._ready = asyncio.Event()
        self._failed: EngineError | None = None
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
        self._watch = asyncio.create_task(self._keep_up(), name="engine-supervisor")

    async def ready(self, timeout_s: float | None = None) -> None:
        """Return once requests can be sent. EngineUnavailable when the engine was given up, or
        is not back within `timeout_s`."""
        if self._failed is None and not self._ready.is_set():
            try:
                await asyncio.wait_for(self._ready.wait(), timeout_s)
            except TimeoutError:
                raise EngineUnavailable(
                    f"the engine is restarting and not back after {timeout_s:g} s",
                    "try again in a minute",
                ) from None
        if self._failed is not None:
            raise self._failed

    @property
    def is_ready(self) -> bool:
        """Whether requests can be sent now."""
        return self._ready.is_set() and self._failed is None

    async def stop(self) -> None:
        """Stop watching, then stop the engine. Idempotent."""
        self._ready.clear()
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        await asyncio.to_thread(self.process.stop)

    async def _bring_up(self, progress: Callable[[StartProgress], None] | None = None) -> None:
        if not self.process.alive():
            self.process.start()
        await self.process.wait_healthy(progress)
        await self._on_ready()
        self._ready.set()

    async def _keep_up(self) -> None:
        """Wait for a death, bring the engine back, again and again."""
        while True:
            while self.process.alive():
                await asyncio.sleep(POLL_S)
            self._ready.clear()
            await asyncio.to_thread(self.process.stop)
            if not await self._restart():
                # Wakes those who wait in `ready`, to be told the error.
                self._ready.set()
                return
            self.restarts += 1

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
        self._failed = EngineUnavailable(
            f"the engine was given up after {self._max_failures} failed starts: {why}",
            "mend the cause and run `perennial up` again",
        )
        return False
