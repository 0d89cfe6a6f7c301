"""Visits a source of a local site again and again, and keeps its places as a store would."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Literal, cast

from web_site import PUBLIC, Names, Site, served

from adapt.gather.feed import Feed
from adapt.gather.pages import Pages
from adapt.gather.protocol import Gone, Seen, Unchanged, Unusable
from adapt.gather.web import Web
from agent.config import FetchSettings
from store.records import utc_now
from store.source_records import Place, PlaceState, Source
from tools.fetch import Fetcher

LIMITS = FetchSettings(allow=(f"{PUBLIC}/32",), timeout_s=10.0, pace_s=0.0)
TLS = ssl.create_default_context()
WORDS = "This page says that the blue lighthouse was built in 1911 and opens at nine. " * 4
KINDS = {"pages": Pages, "feed": Feed}


class Visitor:
    """Visits one source again and again, and keeps its places as a store would."""

    def __init__(
        self, site: Site, path: str, kind: Literal["pages", "feed"] = "pages", **options: object
    ) -> None:
        self.source = Source(
            name="s", kind=kind, location=site.url(path), added_at=utc_now(), options=options
        )
        web = Web(LIMITS, lambda limits: Fetcher(limits, resolver=Names(), tls=TLS))
        self.kind = KINDS[kind](LIMITS, web)
        self.known: dict[str, Place] = {}

    async def visit(self, most: int | None = None) -> dict[str, Seen]:
        """What is told, by path; with `most`, of so many addresses, as when a bound ends it."""
        self.kind.check(self.source)
        told: dict[str, Seen] = {}
        visit = cast("AsyncGenerator[Seen, None]", self.kind.visit(self.source, dict(self.known)))
        async for seen in visit:
            told[path_of(seen.address)] = seen
            self._note(seen)
            if len(told) == most:
                break
        await visit.aclose()
        return told

    def _note(self, seen: Seen) -> None:
        before = self.known.get(seen.address)
        stamp = "" if isinstance(seen, Gone) else seen.stamp
        state = before.state if before and isinstance(seen, Unchanged) else PlaceState.PRESENT
        state = {Unusable: PlaceState.REFUSED, Gone: PlaceState.GONE}.get(type(seen), state)
        self.known[seen.address] = Place(
            source="s", address=seen.address, state=state, first_seen_at=utc_now(),
            stamp=(before.stamp if before else "") if stamp is None else stamp, seen_at=utc_now(),
        )  # fmt: skip


def path_of(address: str) -> str:
    return "/" + address.split("/", 3)[3]


def on_a_site(work: Callable[[Site], Awaitable[None]]) -> None:
    async def run() -> None:
        async with served(Site()) as site:
            await work(site)

    asyncio.run(run())


def kinds(told: Mapping[str, Seen]) -> dict[str, type]:
    return {path: type(seen) for path, seen in told.items()}
