"""How often one host is asked: a least time between two requests, kept for as long as this lives.

It only waits; what the time is comes from the settings and from robots.txt. Called by
adapt.gather.web.
"""

import asyncio
import time


class Pace:
    """Gives out the moments at which hosts may be asked."""

    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}

    async def wait(self, host: str, seconds: float) -> None:
        """Return when the host may be asked; the next one waits `seconds` more than this one."""
        now = time.monotonic()
        # The moment is taken before the wait: two who come at once would else ask at once.
        at = max(now, self._free_at.get(host, 0.0))
        self._free_at[host] = at + seconds
        if at > now:
            await asyncio.sleep(at - now)

    def hold(self, host: str, seconds: float) -> None:
        """Do not ask the host for `seconds`, as it said itself."""
        self._free_at[host] = max(self._free_at.get(host, 0.0), time.monotonic() + seconds)
