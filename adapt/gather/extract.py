"""The text of a fetched page, and what it says of itself: title, date, licence, links.

Fetches nothing: a page's own references are only listed. Imports trafilatura, so that it is itself
imported late. Called by the kinds of sources that read the web, in a thread.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from lxml import etree, html  # pyright: ignore[reportAttributeAccessIssue]
from trafilatura import extract, html2txt
from trafilatura.metadata import extract_metadata

from store.errors import DocumentError, FetchRefused
from tools.fetch import Fetched
from tools.fetch_address import parse_url

PAGE_TYPES = "text/html, application/xhtml+xml, text/plain, text/markdown, */*;q=0.1"
"""What is asked for."""
MAX_HTML = 2 << 20
"""Most characters of HTML that are read: a page made for it keeps a core busy for a second per
100,000."""
_HTML = {"text/html", "application/xhtml+xml"}
_PLAIN = {"text/plain", "text/markdown", "text/x-markdown", "text/x-rst"}


@dataclass(frozen=True)
class Page:
    """What a page says."""

    text: str
    title: str = ""
    licence: str | None = None
    published_at: datetime | None = None
    links: tuple[str, ...] = ()
    """Where it leads, as canonical URLs in the order of the page, those of one kind once."""


def read_page(answer: Fetched) -> Page:
    """A page of text. DocumentError says why there is none."""
    kind = answer.media_type or ("text/html" if answer.body.lstrip()[:1] == b"<" else "text/plain")
    if kind in _PLAIN:
        return Page(answer.text, _name(answer.url))
    if kind not in _HTML:
        raise DocumentError(f"it is {kind}, which is not read")
    asked = answer.headers.get("x-robots-tag", "").lower()
    return read_html(answer.text, answer.url, asked)


def read_html(text: str, url: str, asked: str = "") -> Page:
    """A page from its HTML; `asked` is what its headers ask of robots."""
    if len(text) > MAX_HTML:
        raise DocumentError(f"it is {len(text)} characters of HTML, over {MAX_HTML}")
    root = _tree(text)
    metas = root.xpath("//meta[translate(@name, 'ROBTS', 'robts')='robots']/@content")
    wishes = {wish.strip() for wish in ",".join([asked, *metas]).lower().split(",")}
    if wishes & {"noindex", "none"}:
        raise DocumentError("it asks not to be taken up by robots")
    links = () if "nofollow" in wishes else tuple(dict.fromkeys(_links(root, url)))
    try:
        told: Any = extract_metadata(root, url, {"extensive_search": False, "original_date": True})
        words = extract(root, url=url, output_format="markdown", include_comments=False)
    except RecursionError as error:
        raise DocumentError("its elements lie too deep within one another") from error
    return Page(
        text=words or "",
        title=(told.title or "").strip() or _name(url),
        licence=told.license,
        published_at=_date(told.date),
        links=links,
    )


def html_text(fragment: str) -> str:
    """The text of a piece of HTML all of which is content, such as a feed's entry."""
    root = _tree(f"<html><body><article>{fragment}</article></body></html>")
    try:
        # Sure to be content, so more of it is better than less; a short one is not even tried.
        found = extract(root, output_format="markdown", favor_recall=True) or ""
        whole = html2txt(root)
    except RecursionError as error:
        raise DocumentError("its elements lie too deep within one another") from error
    return found if len(found) >= len(whole) // 2 else whole


def _tree(text: str) -> html.HtmlElement:
    # The parser of trees that trafilatura expects; bytes, as a declared encoding is not theirs.
    parser = html.HTMLParser(
        encoding="utf-8", collect_ids=False, default_doctype=False, remove_comments=True,
        remove_pis=True, no_network=True,
    )  # fmt: skip
    try:
        root = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError) as error:
        raise DocumentError("it is empty") from error
    return root


def _links(root: html.HtmlElement, url: str) -> Iterator[str]:
    base = urljoin(url, next(iter(root.xpath("//base/@href")), ""))
    for anchor in root.iter("a"):
        target = anchor.get("href")
        if target is None or "nofollow" in anchor.get("rel", "").lower().split():
            continue
        try:
            yield str(parse_url(urljoin(base, target.strip().replace(" ", "%20"))))
        except (FetchRefused, ValueError):
            continue  # mail, scripts, and what no browser could follow either


def _name(url: str) -> str:
    """A page without a title is called as its address ends."""
    parts = urlsplit(url)
    return unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.hostname or url


def _date(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
    except ValueError:
        return None
