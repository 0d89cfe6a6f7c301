"""All addresses of a sitemap and of those that it leads to, in one list.

A sitemap that did not change is not downloaded: its addresses are those known from before. Asks for
no page. Called by adapt.gather.pages.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self

import httpx

from adapt.gather.pages_options import PagesOptions
from adapt.gather.reading import stamp_of
from adapt.gather.sitemap import Sitemap, read_sitemap
from adapt.gather.stamps import Validators
from adapt.gather.web import Session
from store.errors import DocumentError
from store.source_records import Place
from tools.fetch import Fetched

MAX_LEVELS = 3
"""An index of sitemaps may name one more; nobody needs further ones."""
MAX_SITEMAPS = 1000


@dataclass
class Listing:
    """Addresses with the sitemap that names each, and what servers know the sitemaps by."""

    addresses: dict[str, str] = field(default_factory=dict)
    validators: dict[str, Validators] = field(default_factory=dict)
    unusable: list[tuple[str, str]] = field(default_factory=list)
    left_out: str | None = None

    @classmethod
    def known(cls, places: Mapping[str, Place]) -> Self:
        """What the places of the last visit say."""
        found = cls()
        for address, place in places.items():
            stamp = stamp_of(place)
            if stamp.listed_by is not None:
                found.addresses[address] = stamp.listed_by
            found.validators |= stamp.lists
        return found


async def list_addresses(
    session: Session, start: str, answer: Fetched, had: Listing, options: PagesOptions,
    hosts: Collection[str], limit: int,
) -> Listing:  # fmt: skip
    """Every address that a sitemap and its sitemaps name. DocumentError when one of them cannot
    be read: what it names would look as if it were gone."""
    listing = Listing()
    waiting = [(start, answer, 1)]
    seen = {start}
    while waiting:
        url, answer, level = waiting.pop()
        listing.validators[url] = had.validators.get(url, Validators())
        if answer.status == 304:
            sitemap = _as_before(url, start, had)
        elif answer.status == 200:
            listing.validators[url] = Validators.of(answer)
            sitemap = read_sitemap(answer, limit)
        else:
            raise DocumentError(f"the sitemap {url} is answered with status {answer.status}")
        listing.unusable += sitemap.unusable
        for page in sitemap.pages:
            _add(page, url, listing, options, hosts)
        for further in sitemap.sitemaps:
            if further in seen:
                continue
            if level >= MAX_LEVELS or len(seen) >= MAX_SITEMAPS:
                raise DocumentError(f"the sitemap {start} leads to too many others: {further}")
            seen.add(further)
            before = had.validators.get(further)
            waiting.append((further, await session.get(further, before), level + 1))
    return listing


def _as_before(url: str, start: str, had: Listing) -> Sitemap:
    """What an unchanged sitemap names. An unchanged index: every sitemap there was."""
    pages = tuple(address for address, listed_by in had.addresses.items() if listed_by == url)
    others = tuple(sorted(other for other in had.validators if other != start))
    return Sitemap(pages, others if url == start else ())


def _add(
    page: str, url: str, listing: Listing, options: PagesOptions, hosts: Collection[str]
) -> None:
    if not options.takes(page) or page in listing.addresses:
        return
    if httpx.URL(page).host not in hosts:
        words = "it is on another host than the sitemap that names it (option hosts)"
        listing.unusable.append((page, words))
    elif len(listing.addresses) >= options.most:
        listing.left_out = listing.left_out or page
    else:
        listing.addresses[page] = url
