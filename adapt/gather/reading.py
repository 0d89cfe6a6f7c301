"""One address of a web source: asked for on condition, read, and told as what was seen.

Decides nothing about which addresses there are: that is adapt.gather.pages and adapt.gather.feed,
which call it.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

import httpx

from adapt.gather.extract import PAGE_TYPES, Page, read_page
from adapt.gather.protocol import Draft, Gone, Seen, Unchanged, Unusable
from adapt.gather.stamps import Stamp, Validators, body_digest
from adapt.gather.web import Session
from store.errors import DocumentError, FetchFailed
from store.source_records import Place, PlaceState
from tools.fetch import Fetched


@dataclass(frozen=True)
class Read:
    """What was seen at an address, and the addresses that it leads to."""

    seen: Seen
    links: tuple[str, ...] = ()
    failed: FetchFailed | None = None
    """Why its server gave nothing, this time."""


def stamp_of(place: Place | None) -> Stamp:
    """What is known of an address; nothing of one where nothing was, which is asked for anew."""
    if place is None or place.state is PlaceState.GONE:
        return Stamp()
    return Stamp.read(place.stamp)


async def read_address(
    session: Session, url: str, place: Place | None, stamp: Stamp, hosts: Collection[str] = ()
) -> Read:
    """Ask for an address and read what comes. `stamp` is what its place is to say besides the
    validators; `hosts`, where given, are those to which it may be redirected."""
    old = stamp_of(place)
    try:
        answer = await session.get(url, old, accept=PAGE_TYPES)
    except FetchFailed as error:
        # Without validators: it is read whole as soon as its server is well again.
        return Read(Unusable(url, error.message, stamp.write()), old.found, error)
    except DocumentError as error:
        return Read(Unusable(url, error.message, stamp.write()))
    return await read_answer(url, answer, place, stamp, hosts)


async def read_answer(
    url: str, answer: Fetched, place: Place | None, stamp: Stamp, hosts: Collection[str] = ()
) -> Read:
    """What an answer says of an address. A page's text is taken out of it in a thread."""
    old = stamp_of(place)
    if answer.status == 304:
        return _unchanged(url, place, stamp.model_copy(update=_kept(old)), old.found)
    if answer.status in (404, 410):
        known = place is not None
        gone = Gone(url) if known else Unusable(url, f"status {answer.status}: nothing is there")
        return Read(gone)
    if answer.status != 200:
        return Read(Unusable(url, f"its server answers with status {answer.status}", stamp.write()))
    if hosts and httpx.URL(answer.url).host not in hosts:
        return Read(Unusable(url, f"it leads to {answer.url}, on another host", stamp.write()))
    now = stamp.model_copy(
        update={**Validators.of(answer).model_dump(), "body": body_digest(answer.body)}
    )
    if place is not None and old.body == now.body:
        return _unchanged(url, place, now.model_copy(update={"found": old.found}), old.found)
    try:
        page = await asyncio.to_thread(_page, answer)
    except DocumentError as error:
        return Read(Unusable(url, error.message, now.write()))
    return Read(
        Draft(
            address=url, text=page.text, title=page.title, stamp=now.write(),
            licence=page.licence, published_at=page.published_at, bytes_read=answer.bytes_read,
        ),
        page.links,
    )  # fmt: skip


def restamped(seen: Seen, stamp: Stamp, place: Place | None) -> Seen:
    """The same with another stamp."""
    text = stamp.write()
    if isinstance(seen, Draft):
        return Draft(**{**seen.__dict__, "stamp": text})
    if isinstance(seen, Unusable):
        return Unusable(seen.address, seen.reason, text)
    if isinstance(seen, Unchanged):
        same = place is not None and place.stamp == text
        return Unchanged(seen.address, None if same else text)
    return seen


def _page(answer: Fetched) -> Page:
    page = read_page(answer)
    if not page.text.strip():
        raise DocumentError("no text is found on it")
    return page


def _kept(old: Stamp) -> dict[str, object]:
    return {name: getattr(old, name) for name in ("etag", "modified", "body", "found")}


def _unchanged(url: str, place: Place | None, now: Stamp, links: tuple[str, ...]) -> Read:
    return Read(restamped(Unchanged(url), now, place), links)
