"""A door that requests go through: it can be shut for a moment, with nobody inside.

Needed where weights are replaced in place: a run that had begun on the old ones would end on the
new. Knows neither engines nor versions. Shut by adapt.swap, passed by the HTTP application.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from store.errors import BusyError


class Door:
    """Open until `shut`. Belongs to one event loop."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._inside = 0

    @property
    def is_open(self) -> bool:
        """Whether whoever comes now need not wait."""
        return self._open.is_set()

    @asynccontextmanager
    async def passed(self) -> AsyncIterator[None]:
        """Wait until the door is open, and be inside until the block ends."""
        while not self._open.is_set():
            await self._open.wait()
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @asynccontextmanager
    async def shut(self, timeout_s: float) -> AsyncIterator[None]:
        """Let nobody in, wait until those inside have left, and open again after the block.

        BusyError, and open as before, when they do not leave in `timeout_s` seconds.
        """
        self._open.clear()
        try:
            try:
                await asyncio.wait_for(self._empty.wait(), timeout_s)
            except TimeoutError:
                raise BusyError(
                    f"{self._inside} requests are still under way after {timeout_s:g} s",
                    "try again when less is going on, or raise swap.drain_s",
                ) from None
            yield
        finally:
            self._open.set()
