"""Sources that are RSS or Atom feeds: what an entry holds, or the page that it links to.

A feed forgets its old entries, so what it does not name is not gone. The feed itself was chosen by
a person and is asked for whatever robots.txt says, as feed readers do; its linked pages are not.
Made by adapt.gather.kinds.
"""

import asyncio
import calendar
import io
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapt.gather.pages_options import FeedOptions
from adapt.gather.protocol import Draft, Seen, Unchanged, Unusable
from adapt.gather.reading import Read, read_address, restamped, stamp_of
from adapt.gather.stamps import Stamp, Validators, body_digest
from adapt.gather.web import Session, Web, shared_web
from agent.config import FetchSettings
from store.errors import DocumentError, FetchRefused
from store.records import digest_of
from store.source_records import Place, Source
from tools.fetch import Fetched
from tools.fetch_address import parse_url
from tools.fetch_body import refuse_entities

FEED_TYPES = "application/atom+xml, application/rss+xml, application/xml;q=0.9, */*;q=0.1"


@dataclass(frozen=True)
class Entry:
    """One entry of a feed."""

    address: str
    title: str
    html: str
    whole: bool
    """Whether the feed holds the content, and not only a summary of it."""
    licence: str | None
    published_at: datetime | None

    @property
    def digest(self) -> str:
        """What changes when the feed says something else of it."""
        return body_digest(digest_of([self.title, self.html, str(self.published_at)]).encode())


class Feed:
    """Reads feeds."""

    lists_all = False

    def __init__(self, settings: FetchSettings, web: Web | None = None) -> None:
        self._web = web or shared_web(settings)

    def check(self, source: Source) -> None:
        """UserError for a location that is no URL, or options that cannot be used."""
        parse_url(source.location)
        FeedOptions.of(source)

    async def visit(self, source: Source, known: Mapping[str, Place]) -> AsyncIterator[Seen]:
        """As SourceKind.visit: oldest entry first, so that the newest, which is seldom an old
        acquaintance, keeps what the server knows this version of the feed by."""
        options = FeedOptions.of(source)
        url = str(parse_url(source.location))
        had = {name: v for p in known.values() for name, v in stamp_of(p).lists.items()}
        async with self._web.session() as session:
            answer = await session.get(url, had.get(url), accept=FEED_TYPES, robots=False)
            if answer.status == 304:
                for address, place in known.items():
                    if stamp_of(place).listed_by == url:
                        yield Unchanged(address)
                return
            if answer.status != 200:
                raise DocumentError(f"the feed {url} is answered with status {answer.status}")
            entries = await asyncio.to_thread(read_feed, answer)
            failed = False
            for number, entry in enumerate(entries):
                place = known.get(entry.address)
                read = await _entry(session, entry, place, url, options.linked)
                failed = failed or read.failed is not None
                stamp = Stamp.read(_stamp(read.seen, place))
                # Not when a page failed: the unchanged feed would not lead to it again.
                whole = number == len(entries) - 1 and not failed
                lists = {url: Validators.of(answer)} if whole else {}
                yield restamped(read.seen, stamp.model_copy(update={"lists": lists}), place)


async def _entry(
    session: Session, entry: Entry, place: Place | None, url: str, linked: bool
) -> Read:
    """What there is at an entry's address."""
    stamp = Stamp(listed_by=url, entry=entry.digest)
    if place is not None and stamp_of(place).entry == entry.digest:
        return Read(Unchanged(entry.address))
    if linked and not entry.whole:
        read = await read_address(session, entry.address, None, stamp)
        if read.failed is not None:
            # Without the digest, so that the next visit tries again.
            bare = Stamp(listed_by=url)
            return Read(restamped(read.seen, bare, None), failed=read.failed)
        return Read(_dated(read.seen, entry))
    from adapt.gather.extract import html_text

    try:
        text = await asyncio.to_thread(html_text, entry.html) if entry.html.strip() else ""
    except DocumentError as error:
        return Read(Unusable(entry.address, error.message, stamp.write()))
    if not text.strip():
        return Read(Unusable(entry.address, "the feed holds no text of it", stamp.write()))
    return Read(
        Draft(
            address=entry.address, text=text, title=entry.title, stamp=stamp.write(),
            licence=entry.licence, published_at=entry.published_at,
            bytes_read=len(entry.html.encode(errors="replace")),
        )
    )  # fmt: skip


def _dated(seen: Seen, entry: Entry) -> Seen:
    """A linked page, with what the feed says of it where the page says nothing."""
    if not isinstance(seen, Draft):
        return seen
    told = {
        "title": entry.title or seen.title,
        "licence": seen.licence or entry.licence,
        "published_at": entry.published_at or seen.published_at,
    }
    return Draft(**{**seen.__dict__, **told})


def _stamp(seen: Seen, place: Place | None) -> str:
    text = getattr(seen, "stamp", None)
    return text if text is not None else place.stamp if place is not None else ""


def read_feed(answer: Fetched) -> list[Entry]:
    """The entries of a feed, the oldest first. DocumentError for what is no feed."""
    import feedparser

    text = answer.text
    refuse_entities(text)
    # A stream, since it would open a text as a URL or a file; and in UTF-8, so that nothing is
    # left to guess.
    parsed: Any = feedparser.parse(
        io.BytesIO(text.encode("utf-8", "replace")),
        response_headers={
            "content-type": "application/xml; charset=utf-8",
            "content-location": answer.url,
        },
    )
    if not parsed.get("version") and not parsed.entries:
        raise FetchRefused(f"{answer.url} is no feed", "a page is a source of --kind pages")
    found: dict[str, Entry] = {}
    for raw in parsed.entries:
        entry = _read(raw, parsed.feed)
        if entry is not None:
            found.setdefault(entry.address, entry)
    undated = datetime.min.replace(tzinfo=UTC)
    # Turned round first: entries of one moment, or of none, stand newest first as well.
    entries = list(found.values())[::-1]
    entries.sort(key=lambda entry: entry.published_at or undated)
    return entries


def _read(raw: Any, feed: Any) -> Entry | None:
    """An entry that has an address of the web; its own name may be one."""
    address = None
    for place in (raw.get("link"), raw.get("id")):
        try:
            address = str(parse_url((place or "").strip()))
            break
        except FetchRefused:
            continue
    if address is None:
        return None
    contents = [part.get("value", "") for part in raw.get("content", ())]
    content = max(contents, key=len, default="")
    return Entry(
        address=address,
        title=_plain(raw.get("title", "")),
        html=content or raw.get("summary", ""),
        whole=bool(content.strip()),
        licence=raw.get("license") or feed.get("license") or feed.get("rights") or None,
        published_at=_moment(raw),
    )


def _plain(title: str) -> str:
    return " ".join(title.split())


def _moment(raw: Any) -> datetime | None:
    """When it was last changed, or else published."""
    # Past feedparser's own look-up, which gives the one for the other with a warning.
    parts = dict.get(raw, "updated_parsed") or dict.get(raw, "published_parsed")
    try:
        return datetime.fromtimestamp(calendar.timegm(parts), UTC) if parts else None
    except (ValueError, OverflowError, OSError):
        return None
