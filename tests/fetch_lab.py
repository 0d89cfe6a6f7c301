"""A site beside servers that must not be reached, and fetchers whose sockets are watched.

Called by the tests of traps.
"""

import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence

from trap_tally import TRAPS
from web_site import PUBLIC, Inside, Names, Recording, Site, served

from agent.config import FetchSettings
from store.errors import DocumentError
from tools.fetch import Fetcher

LIMIT = 100_000
LIMITS = FetchSettings(
    allow=(f"{PUBLIC}/32",), timeout_s=0.6, max_bytes=LIMIT, max_redirects=3, pace_s=0.0
)

TLS = ssl.create_default_context()
"""One for all: it takes longer to make than a fetch does."""


class Lab:
    """A site, servers that must not be reached, and a fetcher whose sockets are watched."""

    def __init__(self, site: Site, inside: Inside, names: Names) -> None:
        self.site, self.inside, self.names = site, inside, names
        self.record = Recording()

    def fetcher(self, limits: FetchSettings = LIMITS) -> Fetcher:
        """Looks names up in the test's DNS, and connects for real."""
        return Fetcher(limits, resolver=self.names, network=self.record, tls=TLS)

    def reached(self) -> list[str]:
        """Forbidden addresses that were connected to, by either side's account."""
        return self.inside.reached + [a for a in self.record.connected if a != PUBLIC]

    async def trap(self, kind: str, url: str) -> DocumentError:
        """Fetch what must not be fetched; the error that came of it."""
        try:
            async with self.fetcher() as fetcher:
                answer = await fetcher.fetch(url)
        except DocumentError as error:
            TRAPS.trap(kind, reached=self.reached())
            return error
        raise AssertionError(f"{url} was fetched: {answer}")


@contextlib.asynccontextmanager
async def lab(**names: Sequence[Sequence[str]]) -> AsyncIterator[Lab]:
    async with served(Site()) as site, Inside().listening(site.port) as inside:
        yield Lab(site, inside, Names(**names))
