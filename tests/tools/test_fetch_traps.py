"""The SSRF suite: whatever URL the fetcher is given or led to, it reaches only what it may. Real
sockets; forbidden addresses of this machine have real servers. Its bounds: test_fetch_bounds.py."""

import asyncio

import pytest
from fetch_lab import LIMITS, Lab, lab
from trap_tally import TRAPS
from web_site import INSIDE, PUBLIC, Site, served, sitemap

from adapt.gather.pages import Pages
from adapt.gather.protocol import Unusable
from adapt.gather.web import Web
from store.errors import FetchFailed, FetchRefused
from store.records import utc_now
from store.source_records import Source

FORBIDDEN = """
127.0.0.2 127.8.9.10 127.255.255.254 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1
100.127.255.254 100.100.100.200 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255
192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255
198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16
:: ::1 ::7f00:2 ::ffff:127.0.0.2 ::ffff:10.0.0.1 ::ffff:a9fe:a9fe ::ffff:0:127.0.0.2 100::1 fc00::1
fd00::1 fd00:ec2::254 fd20:ce::254 fe80::1 fec0::1 ff02::1 2001::1 2001:0:7f00:1:: 2001:db8::1
2001:10::1 2001:20::1 3fff::1 5f00::1 64:ff9b::127.0.0.2 64:ff9b::169.254.169.254
64:ff9b:1::8.8.8.8 2002:7f00:2:: 2002:a9fe:a9fe::1 2002:c0a8:1::1 2600::5efe:10.0.0.1
2600::200:5efe:127.0.0.2 fe80::5efe:8.8.8.8 4000::1
""".split()
"""Addresses of every kind that is not public, and public forms that lead to one."""

NOTATIONS = """
2130706434 0x7f000002 0x7f.0.0.2 0177.0.0.2 017700000002 127.2 127.0.2 127.0.0.02 0x7f.2
127.0.0.0x2 127.0.0.2. 127.0.0.2.. 127.0.0.256 127.0.0.-1 127.0.0.2%00 %31%32%37.0.0.2
１２７.０.０.２ 127。0。0。2 ①②⑦.0.0.2 [::1] [0:0:0:0:0:0:0:1] [::ffff:7f00:2]
[::ffff:127.0.0.2] [::1%25lo] [::1%lo] [fe80::1%25eth0] [::] 00 0 . .. 0x
127.0.0.2\\@site.test site.test@127.0.0.2 a:b@127.0.0.2 @127.0.0.2 site.test:80@127.0.0.2
127.0.0.2:80:80 site.test:99999 site.test:22 site.test:25 site.test:6379 site.test:11211
-site.test site..test a*b <script>
""".split()
"""What stands for a host, in the ways in which programs have been tricked."""
BLANKS = ["127.0.0.2\t", "127.0.0.2 ", "127.0.0.2\n", "127.0.0.2\r\nHost: a", "\u200b127.0.0.2"]

SCHEMES = """
file:///etc/passwd ftp://site.test/ gopher://site.test:70/_x data:text/html,x javascript:alert(1)
jar:http://site.test!/ ldap://site.test/ dict://site.test:11211/ unix:///var/run/docker.sock
ws://site.test/ //site.test/ site.test /etc/passwd http: http:// http:/// https:///x blob:x
HTTP+UNIX://%2Fvar%2Frun%2Fdocker.sock/ view-source:http://site.test/
""".split()


def host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def test_no_forbidden_address_is_reached_by_its_number() -> None:
    """Neither on the port of the servers that listen there nor on the usual ones."""

    async def run() -> None:
        async with lab() as it:
            for address in FORBIDDEN:
                for port in (it.site.port, 80):
                    url = f"http://{host(address)}:{port}/"
                    error = await it.trap("a forbidden address", url)
                    assert isinstance(error, FetchRefused), error

    asyncio.run(run())


def test_no_forbidden_address_is_reached_by_a_name() -> None:
    """A public name may have any address written into DNS."""

    async def run() -> None:
        async with lab() as it:
            for number, address in enumerate(FORBIDDEN):
                name = f"n{number}.test"
                it.names.answers[name] = [[address]]
                error = await it.trap("a name of a forbidden address", it.site.url(name=name))
                assert isinstance(error, FetchRefused), error

    asyncio.run(run())


@pytest.mark.parametrize("notation", [*NOTATIONS, *BLANKS])
def test_no_notation_of_a_host_leads_inside(notation: str) -> None:
    """Each is refused by its form: programs disagree about what it means."""

    async def run() -> None:
        async with lab() as it:
            it.names.answers["127.0.0.2"] = [["127.0.0.2"]]
            port = "" if notation.rpartition(":")[2].isdigit() else f":{it.site.port}"
            for place in (f"http://{notation}{port}/", f"http://{notation}/x"):
                error = await it.trap("an odd notation or userinfo", place)
                assert isinstance(error, FetchRefused), error
            assert not it.names.asked

    asyncio.run(run())


@pytest.mark.parametrize("url", SCHEMES)
def test_only_http_is_fetched(url: str) -> None:
    """Nothing else that a URL can name."""

    async def run() -> None:
        async with lab() as it:
            error = await it.trap("another scheme", url)
            assert isinstance(error, FetchRefused), error

    asyncio.run(run())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_leads_inside(status: int) -> None:
    """Wherever it points: addresses, names, schemes, notations."""

    async def run() -> None:
        async with lab(inner=[["127.0.0.2"]]) as it:
            port = it.site.port
            places = [f"http://{host(a)}:{port}/" for a in (*FORBIDDEN[:40], *INSIDE)]
            places += [f"http://inner:{port}/", f"//inner:{port}/x", "file:///etc/passwd"]
            places += [f"http://u:p@127.0.0.2:{port}/", f"http://0x7f000002:{port}/"]
            places += ["http://[", f"\\\\127.0.0.2:{port}\\x", "gopher://127.0.0.2/", "http://"]
            for number, place in enumerate(places):
                it.site.redirect(f"/{number}", place, status)
                error = await it.trap("a redirect", it.site.url(f"/{number}"))
                assert isinstance(error, FetchRefused), error

    asyncio.run(run())


@pytest.mark.parametrize("turns", [1, 2, 3, 5])
def test_a_name_that_changes_between_look_ups_is_looked_up_once(turns: int) -> None:
    """The address that is judged is the one connected to: what DNS says next is not asked."""

    async def run() -> None:
        async with lab() as it:
            it.site.put("/", "hello")
            it.names.answers["rebind.test"] = [[PUBLIC], *[["127.0.0.2"]] * turns]
            async with it.fetcher() as fetcher:
                answer = await fetcher.fetch(it.site.url(name="rebind.test"))
            TRAPS.trap("DNS that changes", reached=it.reached())
            assert (answer.text, it.names.asked["rebind.test"]) == ("hello", 1)
            # A connection of its own looks again, and is judged again.
            await it.trap("DNS that changes", it.site.url(name="rebind.test"))

    asyncio.run(run())


def test_a_redirect_to_a_name_that_changed_meanwhile_is_refused() -> None:
    """The connection that is still open leads where it led; another port needs another look."""

    async def run() -> None:
        async with lab(turn=[[PUBLIC], ["127.0.0.2"]]) as it, served(Site()) as other:
            it.site.redirect("/", f"http://turn:{other.port}/")
            await it.trap("DNS that changes", f"http://turn:{it.site.port}/")
            assert it.site.asked == ["/"] and other.asked == []

    asyncio.run(run())


def test_of_a_name_with_several_addresses_only_allowed_ones_are_tried() -> None:
    """In every order, whether the allowed one answers or not."""

    async def run() -> None:
        async with lab() as it:
            it.site.put("/", "hello")
            for mixed in (["127.0.0.2", PUBLIC], [PUBLIC, "::1"], ["::1", "10.0.0.1", PUBLIC]):
                it.names.answers["mixed.test"] = [mixed]
                async with it.fetcher() as fetcher:
                    answer = await fetcher.fetch(it.site.url(name="mixed.test"))
                TRAPS.trap("a name with several addresses", reached=it.reached())
                assert answer.text == "hello"
            it.names.answers["dead.test"] = [[PUBLIC, "127.0.0.2"]]
            error = await it.trap("a name with several addresses", "http://dead.test:1024/")
            assert isinstance(error, FetchFailed), error

    asyncio.run(run())


def test_no_entry_of_a_sitemap_leads_inside() -> None:
    """Even of hosts that the source takes; nor do nested sitemaps, robots.txt and links."""

    async def run() -> None:
        async with lab(inner=[["127.0.0.2"]]) as it:
            port = it.site.port
            inner = [f"http://{host(a)}:{port}/" for a in FORBIDDEN] + [f"http://inner:{port}/x"]
            it.site.put("/sitemap.xml", sitemap(inner), "application/xml")
            hosts = ["inner", *FORBIDDEN]
            seen = await visited(it, "/sitemap.xml", hosts=hosts)
            for one in seen:
                assert isinstance(one, Unusable), one
                TRAPS.trap("an entry of a sitemap", reached=it.reached())
            assert len(seen) == len(inner)
            for place in inner:
                it.site.put("/index.xml", sitemap([place], "sitemapindex"), "application/xml")
                with pytest.raises(FetchRefused):
                    await visited(it, "/index.xml")
                TRAPS.trap("a sitemap of a sitemap", reached=it.reached())
            links = "".join(f'<a href="{place}">x</a>' for place in inner)
            it.site.put("/start", f"<html><body><p>Some words here.</p>{links}</body></html>")
            for one in (await visited(it, "/start", hosts=hosts, depth=2))[1:]:
                assert isinstance(one, Unusable), one
                TRAPS.trap("a link of a page", reached=it.reached())

    asyncio.run(run())


def test_robots_txt_leads_nowhere_inside() -> None:
    """It is fetched as everything is; a page whose robots.txt cannot be read is not fetched."""

    async def run() -> None:
        async with lab() as it:
            it.site.put("/page", "<html><body><p>Words.</p></body></html>")
            for address in FORBIDDEN[:20]:
                it.site.redirect("/robots.txt", f"http://{host(address)}:{it.site.port}/")
                with pytest.raises(FetchRefused):
                    await visited(it, "/page")
                TRAPS.trap("robots.txt", reached=it.reached())
            assert "/page" not in it.site.asked

    asyncio.run(run())


async def visited(it: Lab, path: str, **options: object) -> list[object]:
    web = Web(LIMITS, it.fetcher)  # a new one each time, which asks for robots.txt again
    source = Source(
        name="s", kind="pages", location=it.site.url(path), added_at=utc_now(), options=options
    )
    return [seen async for seen in Pages(LIMITS, web).visit(source, {})]


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a proxy nor a password file of the machine has a say."""

    async def run() -> None:
        async with lab() as it:
            it.site.put("/", "hello")
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.2:{it.site.port}")
            async with it.fetcher() as fetcher:
                answer = await fetcher.fetch(it.site.url())
            TRAPS.trap("a proxy of the environment", reached=it.reached())
            assert answer.text == "hello"

    asyncio.run(run())
