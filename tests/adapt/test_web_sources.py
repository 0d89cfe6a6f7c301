"""Pages, sitemaps and crawls on a real local site: what is told at the first visit, at one where
nothing changed, and after changes."""

import gzip
import time
from collections.abc import Awaitable, Callable

import pytest
from web_site import Reply, Site, page, sitemap
from web_visitor import LIMITS, WORDS, Visitor, kinds, on_a_site

from adapt.gather.extract import html_text, read_html
from adapt.gather.pages import Pages
from adapt.gather.protocol import Draft, Gone, Unchanged, Unusable
from store.errors import DocumentError, FetchFailed, UserError
from store.records import utc_now
from store.source_records import Source


def test_a_page_is_read_with_what_it_says_of_itself() -> None:
    """Title, date and licence; menus are left out."""
    html = (
        "<html><head><title>Lights</title>"
        '<meta property="article:published_time" content="2024-05-06"></head><body>'
        f"<nav><a href='/menu'>Menu here</a></nav><article><p>{WORDS}</p></article>"
        '<footer><a rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/">x</a>'
        "</footer></body></html>"
    )
    found = read_html(html, "http://site.test/a/")
    assert (found.title, found.licence) == ("Lights", "CC BY-SA 4.0")
    assert found.published_at is not None and found.published_at.date().isoformat() == "2024-05-06"
    assert "blue lighthouse" in found.text and "Menu here" not in found.text
    assert found.links[0] == "http://site.test/menu"


def test_a_piece_of_html_loses_no_sentence() -> None:
    """Not even a short one; tags become Markdown."""
    assert html_text("<p>It <b>opens</b> at nine.</p>").strip() == "It **opens** at nine."


def test_a_sitemap_whose_pages_did_not_change_sends_no_body() -> None:
    """Neither of them nor its own; what changed, went and came is told."""

    async def work(site: Site) -> None:
        for name in "abc":
            site.put(f"/{name}", page(name, name + WORDS))
        parts = [site.url("/one.xml.gz"), site.url("/two.xml")]
        site.put("/sitemap.xml", sitemap(parts, "sitemapindex"), "application/xml")
        one = sitemap([site.url("/a"), site.url("/b")]).encode()
        site.pages["/one.xml.gz"] = Reply(gzip.compress(one, mtime=0), "application/gzip")
        site.put("/two.xml", sitemap([site.url("/c"), site.url("/d")]), "application/xml")
        visitor = Visitor(site, "/sitemap.xml")
        assert kinds(await visitor.visit()) == {
            "/a": Draft, "/b": Draft, "/c": Draft, "/d": Unusable
        }  # fmt: skip
        site.put("/d", page("d", "d" + WORDS))
        assert kinds(await visitor.visit())["/d"] is Draft
        site.forget()
        assert set(kinds(await visitor.visit()).values()) == {Unchanged}
        assert (site.body_bytes, site.statuses[304]) == (0, 7)
        site.put("/a", page("a", "new" + WORDS))
        del site.pages["/b"]
        assert kinds(await visitor.visit()) == {
            "/a": Draft, "/b": Gone, "/c": Unchanged, "/d": Unchanged
        }  # fmt: skip

    on_a_site(work)


def test_a_visit_to_a_sitemap_that_a_bound_ended_is_gone_on_with() -> None:
    """Though the sitemap itself did not change, what was not reached is not forgotten."""

    async def work(site: Site) -> None:
        for name in "abcd":
            site.put(f"/{name}", page(name, name + WORDS))
        names = [site.url(f"/{name}") for name in "abcd"]
        site.put("/sitemap.xml", sitemap(names), "application/xml")
        visitor = Visitor(site, "/sitemap.xml")
        assert list(await visitor.visit(most=2)) == ["/a", "/b"]
        told = kinds(await visitor.visit())
        assert told == {"/a": Unchanged, "/b": Unchanged, "/c": Draft, "/d": Draft}

    on_a_site(work)


def test_a_crawl_is_bounded_and_stays_on_its_site() -> None:
    """By depth, host and patterns, nearest first; without change it sends no body."""

    async def work(site: Site) -> None:
        there = site.url("/x", name="other.test")
        site.put(
            "/", page("start", "start" + WORDS, ["/a", "/b?x=1#part", there, "/no/c", "mailto:a"])
        )
        site.put("/a", page("a", "a" + WORDS, ["/deep", "/"]))
        site.put("/b", page("b", "b" + WORDS))
        site.put("/deep", page("deep", "deep" + WORDS, ["/deeper"]))
        visitor = Visitor(site, "/", depth=2, exclude="/no/*")
        assert list(await visitor.visit(most=2)) == ["/", "/a"]
        told = kinds(await visitor.visit())
        assert told == {"/": Unchanged, "/a": Unchanged, "/b?x=1": Draft, "/deep": Draft}
        site.forget()
        assert set(kinds(await visitor.visit()).values()) == {Unchanged}
        assert site.body_bytes == 0 and site.statuses[304] == 4
        with pytest.raises(DocumentError, match="more than 2 addresses"):
            await Visitor(site, "/", depth=2, most=2).visit()

    on_a_site(work)


def test_robots_txt_is_obeyed() -> None:
    """Its rules and its delay; none allows all, and a broken one nothing."""

    async def work(site: Site) -> None:
        site.put("/", page("start", "start" + WORDS, ["/shut", "/open"]))
        site.put("/shut", page("shut", "shut" + WORDS))
        site.put("/open", page("open", "open" + WORDS))
        site.put("/robots.txt", "User-agent: *\nDisallow: /shut\nCrawl-delay: 0.2\n", "text/plain")
        began = time.monotonic()
        told = await Visitor(site, "/", depth=1).visit()
        assert kinds(told) == {"/": Draft, "/shut": Unusable, "/open": Draft}
        assert "/shut" not in site.asked and site.asked.count("/robots.txt") == 1
        assert time.monotonic() - began >= 0.2
        site.pages["/robots.txt"] = Reply(status=503)
        site.forget()
        with pytest.raises(FetchFailed, match=r"robots\.txt"):
            await Visitor(site, "/").visit()
        assert site.asked == ["/robots.txt"]

    on_a_site(work)


def test_a_busy_host_is_asked_again_when_it_says() -> None:
    """Once; a page whose server fails is read whole when it is well again."""

    async def work(site: Site) -> None:
        async def busy(send: Callable[[bytes], Awaitable[None]], headers: dict[str, str]) -> None:
            site.put("/", page("start", WORDS))
            await send(b"HTTP/1.1 503 x\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")

        site.pages["/"] = busy
        visitor = Visitor(site, "/")
        assert kinds(await visitor.visit()) == {"/": Draft}
        site.put("/sitemap.xml", sitemap([site.url("/")]), "application/xml")
        listed = Visitor(site, "/sitemap.xml")
        await listed.visit()
        well = site.pages["/"]
        site.pages["/"] = Reply(status=500)
        assert kinds(await listed.visit()) == {"/": Unusable}
        site.pages["/"] = well
        assert kinds(await listed.visit()) == {"/": Draft}

    on_a_site(work)


def test_a_site_that_is_away_ends_the_visit() -> None:
    """Instead of calling each of its pages unusable."""

    async def work(site: Site) -> None:
        names = [f"/{number}" for number in range(9)]
        for name in names:
            site.pages[name] = Reply(status=502)
        site.put("/sitemap.xml", sitemap([site.url(n) for n in names]), "application/xml")
        with pytest.raises(DocumentError, match="5 addresses in a row"):
            await Visitor(site, "/sitemap.xml").visit()

    on_a_site(work)


@pytest.mark.parametrize("options", [{"dept": 1}, {"depth": -1}, {"include": 3}])
def test_options_that_cannot_be_used_are_refused(options: dict[str, object]) -> None:
    """When the source is added, by their name."""
    source = Source(
        name="s", kind="pages", location="http://a.test/", added_at=utc_now(), options=options
    )
    with pytest.raises(UserError, match=next(iter(options))):
        Pages(LIMITS).check(source)
