"""Reads the web with good manners: robots.txt, a pace for each host, Retry-After.

What may be connected to, and all bounds, are tools.fetch; what a page says is adapt.gather.extract.
Called by the kinds of sources that lie on the web.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from functools import lru_cache

import httpx

from adapt.gather.pace import Pace
from adapt.gather.robots import Robots
from adapt.gather.stamps import Validators
from agent.config import FetchSettings
from store.errors import FetchFailed
from tools.fetch import ANYTHING, Fetched, Fetcher

MAX_RETRY_S = 60.0
"""A host that is busy for longer than this is left for the next visit."""

Open = Callable[[FetchSettings], Fetcher]


class Web:
    """What is remembered of hosts between visits. It holds no connection."""

    def __init__(self, settings: FetchSettings, open_fetcher: Open = Fetcher) -> None:
        self.settings = settings
        self.pace = Pace()
        self.robots = Robots()
        self._open = open_fetcher

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Session"]:
        """Connections for one visit, closed with it."""
        async with self._open(self.settings) as fetcher:
            yield Session(self, fetcher)


def shared_web(settings: FetchSettings) -> Web:
    """The one of this process: two sources of one host must not ask it twice as often."""
    return _web(settings.model_dump_json())


@lru_cache(maxsize=8)
def _web(settings: str) -> Web:
    return Web(FetchSettings.model_validate_json(settings))


class Session:
    """Asks hosts, one request after the other."""

    def __init__(self, web: Web, fetcher: Fetcher) -> None:
        self._web = web
        self._fetcher = fetcher

    async def get(
        self,
        url: str,
        had: Validators | None = None,
        *,
        accept: str = ANYTHING,
        robots: bool = True,
    ) -> Fetched:
        """As Fetcher.fetch, once it may be asked for; 304 where it is as it was when it `had`.

        A busy host is asked once more when it says for when. FetchFailed for a status of 429, 500
        and above. `robots` is False for what a person subscribed to by its URL.
        """
        had = had or Validators()

        async def ask() -> Fetched:
            return await self._fetcher.fetch(
                url,
                etag=had.etag,
                last_modified=had.modified,
                accept=accept,
                before=self._obeying if robots else self._paced,
            )

        answer = await ask()
        wait = _retry_after(answer)
        if wait is not None:
            self._web.pace.hold(httpx.URL(answer.url).host, wait)
            answer = await ask()
        if answer.status == 429 or answer.status >= 500:
            raise FetchFailed(f"{url} is answered with status {answer.status}")
        return answer

    async def _obeying(self, url: httpx.URL) -> None:
        rules = await self._web.robots.rules(url, self._ask_robots)
        rules.check(url, self._web.settings.agent)
        await self._paced(url, rules.delay_s(self._web.settings.agent))

    async def _paced(self, url: httpx.URL, seconds: float = 0.0) -> None:
        await self._web.pace.wait(url.host, max(seconds, self._web.settings.pace_s))

    async def _ask_robots(self, url: str) -> Fetched:
        return await self._fetcher.fetch(url, before=self._paced)


def _retry_after(answer: Fetched) -> float | None:
    """Seconds after which a busy host wants to be asked again; None when it does not say, or when
    that is too long."""
    said = answer.headers.get("retry-after", "").strip()
    if answer.status not in (429, 503) or not said:
        return None
    try:
        seconds = float(said) if said.isdigit() else (
            parsedate_to_datetime(said).timestamp() - time.time()
        )  # fmt: skip
    except (ValueError, OverflowError):
        return None
    return max(seconds, 0.0) if seconds <= MAX_RETRY_S else None
