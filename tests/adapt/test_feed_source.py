"""Feeds on a real local site."""

import pytest
from web_site import Site, page
from web_visitor import WORDS, Visitor, kinds, on_a_site

from adapt.gather.protocol import Draft, Unchanged
from store.errors import DocumentError

FEED = """<?xml version="1.0"?><rss version="2.0"
 xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><title>News</title>{}</channel></rss>"""
ITEM = "<item><title>{0}</title><link>{1}</link><pubDate>{2}</pubDate>{3}</item>"
DAY = "Mon, 0{} Jan 2024 09:00:00 GMT"


def test_a_feed_gives_its_entries_or_the_pages_behind_them() -> None:
    """Whole entries as they are, summaries by their page; a feed that did not change sends no
    body, and an entry that did is told alone."""

    async def work(site: Site) -> None:
        site.put("/long", page("Long", WORDS))
        whole = f"<content:encoded><![CDATA[<p>{WORDS}</p>]]></content:encoded>"
        short = ITEM.format(
            "Short", site.url("/long"), DAY.format(2), "<description>x</description>"
        )
        full = ITEM.format("Whole", site.url("/whole"), DAY.format(1), whole)
        site.put("/feed", FEED.format(short + full), "application/rss+xml")
        visitor = Visitor(site, "/feed", "feed")
        told = await visitor.visit()
        assert list(told) == ["/whole", "/long"] and set(kinds(told).values()) == {Draft}
        assert all("blue lighthouse" in s.text for s in told.values() if isinstance(s, Draft))
        dates = [s.published_at for s in told.values() if isinstance(s, Draft)]
        assert [date and date.day for date in dates] == [1, 2]
        site.forget()
        assert set(kinds(await visitor.visit()).values()) == {Unchanged}
        assert (site.body_bytes, site.asked) == (0, ["/feed"])
        new = ITEM.format("New", site.url("/new"), DAY.format(3), whole.replace("1911", "1912"))
        site.put("/feed", FEED.format(new + short + full), "application/rss+xml")
        told = kinds(await visitor.visit())
        assert told == {"/whole": Unchanged, "/long": Unchanged, "/new": Draft}

    on_a_site(work)


@pytest.mark.parametrize(
    "text", ["<html><body>no</body></html>", "", '<!DOCTYPE a [<!ENTITY b "c">]><rss/>']
)
def test_what_is_no_feed_is_an_error(text: str) -> None:
    """An error page is not an empty feed."""

    async def work(site: Site) -> None:
        site.put("/feed", text)
        with pytest.raises(DocumentError):
            await Visitor(site, "/feed", "feed").visit()

    on_a_site(work)
