"""How much each caller may ask for: requests in a minute, and requests at once.

Counted in this process, by key. Whoever has neither limit is not counted. Called by agent.api.auth.
"""

import math
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from agent.api.errors import ApiError

if TYPE_CHECKING:
    from agent.api.auth import Caller


class Usage:
    """What callers have under way, and what they have asked for in the last minute."""

    def __init__(self, rate_per_minute: int | None = None, concurrent: int | None = None) -> None:
        """The limits of callers whose key says nothing; None for none."""
        self._rate, self._concurrent = rate_per_minute, concurrent
        self._under_way: Counter[str] = Counter()
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    @property
    def under_way(self) -> int:
        """Requests of all callers that have not ended."""
        return self._under_way.total()

    @asynccontextmanager
    async def counted(self, caller: "Caller") -> AsyncIterator[None]:
        """One request of a caller until the block ends. 429 when it is one too many."""
        await self._in_time(_who(caller), caller.rate_per_minute or self._rate)
        async with self.held(caller):
            yield

    @asynccontextmanager
    async def held(self, caller: "Caller", besides: int = 0) -> AsyncIterator[None]:
        """The same for work that a request leaves behind, which is not in the rate. `besides` are
        requests of the caller that are there only to begin it."""
        who = _who(caller)
        most = caller.concurrent or self._concurrent
        if most is not None and self._under_way[who] - besides >= most:
            raise ApiError(
                429, f"{most} requests of this key are under way, which is its limit; wait for one",
                kind="requests", code="rate_limit_exceeded", headers={"Retry-After": "1"},
            )  # fmt: skip
        self._under_way[who] += 1
        try:
            yield
        finally:
            self._under_way[who] -= 1
            # Names that come once would else be kept for ever.
            self._under_way += Counter()

    async def _in_time(self, who: str, rate: int | None) -> None:
        if rate is None:
            return
        limit = RateLimitItemPerMinute(rate)
        if await self._limiter.hit(limit, who):
            return
        free_at, _ = await self._limiter.get_window_stats(limit, who)
        wait = max(1, math.ceil(free_at - time.time()))
        raise ApiError(
            429, f"this key may send {rate} requests in a minute; wait {wait} s",
            kind="requests", code="rate_limit_exceeded", headers={"Retry-After": str(wait)},
        )  # fmt: skip


def _who(caller: "Caller") -> str:
    return caller.tenant or caller.name
