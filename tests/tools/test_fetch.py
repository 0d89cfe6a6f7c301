"""What the fetcher gives for answers that are as they should be. The traps: test_fetch_traps.py."""

import asyncio
import gzip
import ssl
import zlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from web_site import PUBLIC, Names, Reply, Site, served

from agent.config import FetchSettings
from store.errors import FetchFailed, FetchRefused
from store.records import utc_now
from tools.fetch import Fetcher
from tools.fetch_address import parse_url
from tools.fetch_body import decode, parse_xml

LIMITS = FetchSettings(allow=(f"{PUBLIC}/32",), timeout_s=10.0)
TLS = ssl.create_default_context()
Result = TypeVar("Result")


def on_a_site(
    work: Callable[[Site, Fetcher], Awaitable[Result]], tls: ssl.SSLContext | None = None
) -> Result:
    """Do something with a site and a fetcher that may reach it."""

    async def run() -> Result:
        async with served(Site()) as site, Fetcher(LIMITS, resolver=Names(), tls=tls or TLS) as f:
            return await work(site, f)

    return asyncio.run(run())


def test_an_unchanged_page_is_answered_without_a_body() -> None:
    """By the ETag that came with it."""

    async def work(site: Site, fetcher: Fetcher) -> None:
        site.put("/", "hello")
        first = await fetcher.fetch(site.url())
        again = await fetcher.fetch(site.url(), etag=first.headers["etag"])
        assert (first.status, first.text, again.status, again.body) == (200, "hello", 304, b"")
        assert site.body_bytes == 5

    on_a_site(work)


def test_validators_are_not_carried_to_another_origin() -> None:
    """What one server knows a reader by is not told to the next one."""

    async def work(site: Site, fetcher: Fetcher) -> None:
        site.put("/new", "hello")
        site.redirect("/same", "/new")
        site.redirect("/other", site.url("/new", name="other.test"))
        await fetcher.fetch(site.url("/same"), etag='"x"')
        assert [h.get("if-none-match") for h in site.headers] == ['"x"', '"x"']
        site.forget()
        answer = await fetcher.fetch(site.url("/other"), etag='"x"')
        assert [h.get("if-none-match") for h in site.headers] == ['"x"', None]
        assert answer.url == site.url("/new", name="other.test")
        allowed = {"host", "user-agent", "accept-encoding", "accept"}
        assert set(site.headers[1]) == allowed

    on_a_site(work)


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("x-gzip", gzip.compress)],
)
def test_a_packed_body_is_unpacked(coding: str, pack: Callable[[bytes], bytes]) -> None:
    """Every coding that is asked for."""

    async def work(site: Site, fetcher: Fetcher) -> None:
        text = "hello " * 10_000
        site.pages["/"] = Reply(pack(text.encode()), headers={"Content-Encoding": coding})
        assert (await fetcher.fetch(site.url())).text == text

    on_a_site(work)


def test_a_connection_is_used_again() -> None:
    """For a redirect, an error and the next page: the name is looked up once."""

    async def run() -> None:
        names = Names()
        async with served(Site()) as site, Fetcher(LIMITS, resolver=names, tls=TLS) as fetcher:
            site.put("/", "hello")
            site.redirect("/old", "/")
            for path in ("/old", "/none", "/"):
                await fetcher.fetch(site.url(path))
        assert names.asked == {"site.test": 1}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("grün".encode(), "", "grün"),
        ("grün".encode("cp1252"), "iso-8859-1", "grün"),
        ("grün".encode(), "iso-8859-1", "grün"),
        ("grün".encode("utf-16"), "utf-8", "grün"),
        (b"\xef\xbb\xbfabc", "", "abc"),
        ('<meta charset="windows-1251">Привет'.encode("cp1251"), "", None),
        ("<?xml version='1.0' encoding='koi8-r'?>Привет".encode("koi8-r"), "", None),
        ("Привет, это довольно длинный русский текст.".encode("cp1251"), "", None),
        ("日本語".encode("shift_jis"), "Shift_JIS", "日本語"),
        (b"+ADw-script+AD4-", "utf-7", "+ADw-script+AD4-"),
        (b"abc", "no-such-charset", "abc"),
        (b"abc", "zip", "abc"),
    ],
)
def test_text_is_decoded_as_it_was_meant(data: bytes, charset: str, text: str | None) -> None:
    """By its mark, the header, what it says of itself, and else by a guess."""
    found = decode(data, charset)
    assert found == text if text is not None else "Привет" in found


def test_what_is_no_text_is_refused() -> None:
    """A picture called text."""
    with pytest.raises(FetchRefused, match="not text"):
        decode(b"\x89PNG\r\n\x1a\n\0\0\0")


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<!DOCTYPE a [<!entity % x SYSTEM "http://127.0.0.2/">%x;]><a/>',
        "<a><b></a>",
        "",
    ],
)
def test_xml_with_entities_or_errors_is_refused(text: str) -> None:
    """Nothing is expanded and nothing loaded."""
    with pytest.raises(FetchRefused):
        parse_xml(text)


def test_xml_with_a_doctype_is_read_without_it() -> None:
    """Old feeds name one on a host that is long gone."""
    text = '<?xml version="1.0" encoding="x"?><!DOCTYPE a SYSTEM "http://127.0.0.2/a.dtd"><a>b</a>'
    assert parse_xml(text).text == "b"


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTP://Example.COM.:80/a b".replace(" ", "%20"), "http://example.com/a%20b"),
        ("https://bücher.example/#part", "https://xn--bcher-kva.example/"),
        ("http://[2606:4700::1]:8080", "http://[2606:4700::1]:8080/"),
        ("http://example.com", "http://example.com/"),
    ],
)
def test_a_url_has_one_form(url: str, canonical: str) -> None:
    """So that an address is known again however it is written."""
    assert str(parse_url(url)) == canonical


def test_tls_is_verified_by_the_name_and_not_the_address(tmp_path: Path) -> None:
    """The name that was asked for must be in the certificate; http is not gone back to."""
    ours, theirs = certified("site.test", tmp_path)

    async def run() -> None:
        site = Site()
        async with (
            served(site, theirs) as secure,
            served(Site()) as plain,
            Fetcher(LIMITS, resolver=Names(), tls=ours) as fetcher,
        ):
            site.put("/", "hello")
            site.redirect("/down", plain.url())
            place = secure.url().replace("http", "https")
            assert (await fetcher.fetch(place)).text == "hello"
            for other in ("other.test", PUBLIC):
                with pytest.raises(FetchFailed, match="certificate verify failed"):
                    await fetcher.fetch(place.replace("site.test", other))
            with pytest.raises(FetchRefused, match="could alter"):
                await fetcher.fetch(f"{place}down")
            assert plain.asked == []

    asyncio.run(run())


def certified(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a client and a server need for a certificate of their own."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = utc_now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    file = folder / "server.pem"
    form = serialization.PrivateFormat.TraditionalOpenSSL
    plain = serialization.NoEncryption()
    file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain) + pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return ssl.create_default_context(cadata=pem.decode()), server
