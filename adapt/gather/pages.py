"""Sources that are pages: one page, all that a sitemap names, or a bounded crawl from a page.

What its location gives decides which: a sitemap (or an index of some) is read as one, and any other
page is followed as deep as the option says. Every address known from before is asked for again, on
condition that it changed. Made by adapt.gather.kinds.
"""

from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import httpx

from adapt.gather.listing import Listing, list_addresses
from adapt.gather.pages_options import PagesOptions
from adapt.gather.protocol import Draft, Seen, Unchanged, Unusable
from adapt.gather.reading import Read, read_address, read_answer, restamped, stamp_of
from adapt.gather.sitemap import looks_like_sitemap
from adapt.gather.stamps import Stamp
from adapt.gather.web import Session, Web, shared_web
from agent.config import FetchSettings
from store.errors import DocumentError
from store.source_records import Place, PlaceState, Source
from tools.fetch import Fetched
from tools.fetch_address import parse_url

MAX_FAILED = 5
"""A site that fails so often in a row is away; what is left of it would be called unusable."""


class Pages:
    """Reads pages."""

    lists_all = True

    def __init__(self, settings: FetchSettings, web: Web | None = None) -> None:
        self._web = web or shared_web(settings)

    def check(self, source: Source) -> None:
        """UserError for a location that is no URL, or options that cannot be used."""
        parse_url(source.location)
        PagesOptions.of(source)

    async def visit(self, source: Source, known: Mapping[str, Place]) -> AsyncIterator[Seen]:
        """As SourceKind.visit."""
        options = PagesOptions.of(source)
        start = str(parse_url(source.location))
        async with self._web.session() as session:
            trip = _Trip(session, known, options, {httpx.URL(start).host, *options.hosts})
            had = Listing.known(known)
            if start in had.validators:
                answer = await session.get(start, had.validators[start])
            else:
                answer = await session.get(start, stamp_of(known.get(start)))
            if start in had.validators or looks_like_sitemap(answer):
                listing = await list_addresses(
                    session, start, answer, had, options, trip.hosts, self._web.settings.max_bytes
                )
                steps = trip.listed(listing)
            else:
                steps = trip.crawled(start, answer)
            async for seen in steps:
                yield seen
            if trip.left_out:
                raise DocumentError(
                    f"source {source.name} has more than {options.most} addresses, such as "
                    f"{trip.left_out}",
                    "raise its option most, or name patterns in include and exclude",
                )


@dataclass
class _Trip:
    """One visit at work."""

    session: Session
    known: Mapping[str, Place]
    options: PagesOptions
    hosts: set[str]
    left_out: str | None = None
    """An address that was one too many."""
    _found: set[str] = field(default_factory=set)
    _failed: int = 0

    async def listed(self, listing: Listing) -> AsyncIterator[Seen]:
        """All that a list names; who gets to the last of them knows the whole list."""
        self.left_out = listing.left_out
        for address, reason in listing.unusable:
            yield Unusable(address, reason)
        last = len(listing.addresses) - 1
        for number, (address, listed_by) in enumerate(sorted(listing.addresses.items())):
            ends = listing.validators if number == last and not self.left_out else {}
            stamp = Stamp(listed_by=listed_by, lists=ends)
            place = self.known.get(address)
            yield self._counted(
                await read_address(self.session, address, place, stamp, self.hosts)
            ).seen

    async def crawled(self, start: str, answer: Fetched) -> AsyncIterator[Seen]:
        """The start, then what it leads to, nearest first, then what was known from before."""
        place = self.known.get(start)
        if place is None and answer.status not in (200, 304):
            raise DocumentError(f"{start} is answered with status {answer.status}")
        # A site may live under another name than the one that people give, such as with www.
        self.hosts.add(httpx.URL(answer.url).host)
        self._found.add(start)
        waiting: deque[tuple[str, int]] = deque()
        read = await read_answer(start, answer, place, Stamp(), self.hosts)
        yield self._followed(start, read, 0, waiting)
        for address, one in self._again():
            waiting.append((address, stamp_of(one).depth))
        while waiting:
            address, depth = waiting.popleft()
            place = self.known.get(address)
            stamp = Stamp(depth=depth)
            read = await read_address(self.session, address, place, stamp, self.hosts)
            yield self._followed(address, self._counted(read), depth, waiting)

    def _again(self) -> list[tuple[str, Place]]:
        """Places of the last visit that no page read so far leads to."""
        again = []
        for address, place in sorted(self.known.items()):
            if place.state is not PlaceState.GONE and self._taken(address):
                again.append((address, place))
        return again

    def _followed(
        self, address: str, read: Read, depth: int, waiting: deque[tuple[str, int]]
    ) -> Seen:
        """What was seen, with the addresses in its stamp that this page is the first to name."""
        new = [link for link in read.links if depth < self.options.depth and self._taken(link)]
        waiting.extend((link, depth + 1) for link in new)
        if not isinstance(read.seen, Draft | Unchanged | Unusable):
            return read.seen
        place = self.known.get(address)
        old = stamp_of(place).found if not isinstance(read.seen, Draft) else ()
        text = read.seen.stamp
        stamp = stamp_of(place) if text is None else Stamp.read(text)
        found = tuple(dict.fromkeys((*old, *new))) if self.options.depth else ()
        return restamped(read.seen, stamp.model_copy(update={"found": found}), place)

    def _taken(self, address: str) -> bool:
        """Whether an address belongs to the source and is to be visited, for the first time."""
        if address in self._found:
            return False
        if httpx.URL(address).host not in self.hosts or not self.options.takes(address):
            return False
        if len(self._found) >= self.options.most:
            self.left_out = self.left_out or address
            return False
        self._found.add(address)
        return True

    def _counted(self, read: Read) -> Read:
        self._failed = self._failed + 1 if read.failed else 0
        if read.failed is not None and self._failed >= MAX_FAILED:
            raise DocumentError(
                f"{self._failed} addresses in a row give nothing, the last one because "
                f"{read.failed.message}",
                "the next visit begins again",
            )
        return read
