"""What hosts say of themselves in robots.txt (RFC 9309), read once and kept for a day.

No robots.txt allows all; one that cannot be read forbids all, since it may say so. It asks through
the function that it is given, and judges no page. Called by adapt.gather.web.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from store.errors import FetchFailed, FetchRefused
from tools.fetch import Fetched

if TYPE_CHECKING:
    from protego import Protego

KEPT_S = 24 * 3600.0
"""How long what was read of a host is believed."""
AGAIN_S = 600.0
"""After which time one that could not be read is asked for again."""
MAX_DELAY_S = 60.0
"""A host that wants to be asked more seldom than this is not visited: it would take days."""

Ask = Callable[[str], Awaitable[Fetched]]


@dataclass(frozen=True)
class Rules:
    """What one host allows; `parsed` is None where it says nothing."""

    parsed: "Protego | None" = None
    unread: FetchFailed | FetchRefused | None = None
    """Why it could not be read."""

    def check(self, url: httpx.URL, agent: str) -> None:
        """FetchRefused when the URL may not be asked for; what kept robots.txt from being read
        when that is not known."""
        if self.unread is not None:
            raise type(self.unread)(
                f"{url} is not fetched, its host's robots.txt is not known: {self.unread.message}",
                self.unread.hint,
            )
        if self.parsed is not None and not self.parsed.can_fetch(str(url), agent):
            raise FetchRefused(f"{url} is not fetched: its host's robots.txt forbids it")
        if self.delay_s(agent) > MAX_DELAY_S:
            raise FetchRefused(
                f"{url} is not fetched: its host wants {self.delay_s(agent):g} s between requests"
            )

    def delay_s(self, agent: str) -> float:
        """Seconds that the host wants between two requests."""
        if self.parsed is None:
            return 0.0
        rate = self.parsed.request_rate(agent)
        by_rate = rate.seconds / rate.requests if rate is not None and rate.requests else 0.0
        return max(self.parsed.crawl_delay(agent) or 0.0, by_rate)


class Robots:
    """The rules of hosts, by scheme, name and port."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Rules]] = {}

    async def rules(self, url: httpx.URL, ask: Ask) -> Rules:
        """What the host of a URL allows; `ask` fetches its robots.txt when it is not known."""
        place = str(url.copy_with(raw_path=b"/robots.txt"))
        until, rules = self._known.get(place, (0.0, None))
        if rules is None or time.monotonic() > until:
            rules = await _read(place, ask)
            lasts = KEPT_S if rules.unread is None else AGAIN_S
            self._known[place] = time.monotonic() + lasts, rules
        return rules


async def _read(place: str, ask: Ask) -> Rules:
    try:
        answer = await ask(place)
        if answer.status == 429 or answer.status >= 500:
            return Rules(unread=FetchFailed(f"{place} is answered with status {answer.status}"))
        if not 200 <= answer.status < 300:
            return Rules()
        from protego import Protego

        return Rules(Protego.parse(answer.text))
    except (FetchFailed, FetchRefused) as error:
        return Rules(unread=error)
