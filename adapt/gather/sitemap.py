"""The addresses that a sitemap names: an index of sitemaps, a sitemap, either of them packed.

Parses only; the entries may point anywhere, and whoever fetches them goes through tools.fetch as
for every other URL. Called by adapt.gather.pages.
"""

from dataclasses import dataclass

from store.errors import FetchRefused
from tools.fetch import Fetched
from tools.fetch_address import parse_url
from tools.fetch_body import decode, parse_xml, unpack_gzip

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Sitemap:
    """What one file lists, in its order: pages, or further sitemaps."""

    pages: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()
    unusable: tuple[tuple[str, str], ...] = ()
    """Entries that can be no address, and why."""


def looks_like_sitemap(answer: Fetched) -> bool:
    """Whether an answer is to be read as a sitemap and not as a page."""
    start = answer.body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    markup = start.startswith((b"<?xml", b"<urlset", b"<sitemapindex")) and b"<html" not in start
    return answer.body.startswith(_GZIP) or markup


def read_sitemap(answer: Fetched, limit: int) -> Sitemap:
    """The entries of a sitemap, at most `limit` bytes when unpacked. FetchRefused for what is
    none."""
    packed = answer.body.startswith(_GZIP)
    text = decode(unpack_gzip(answer.body, limit)) if packed else answer.text
    root = parse_xml(text)
    kind = _local(root.tag)
    if kind not in ("urlset", "sitemapindex"):
        raise FetchRefused(
            f"{answer.url} is XML ({kind}), but no sitemap",
            "a feed is a source of --kind feed" if kind in ("rss", "feed", "RDF") else "",
        )
    entry = "url" if kind == "urlset" else "sitemap"
    found: dict[str, None] = {}
    unusable: list[tuple[str, str]] = []
    for element in root:
        if _local(element.tag) != entry:
            continue
        for part in element:
            place = (part.text or "").strip()
            if _local(part.tag) != "loc" or not place:
                continue
            try:
                found[str(parse_url(place))] = None
            except FetchRefused as error:
                unusable.append((place, error.message))
    pages, sitemaps = (tuple(found), ()) if kind == "urlset" else ((), tuple(found))
    return Sitemap(pages, sitemaps, tuple(unusable))


def _local(tag: object) -> str:
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
