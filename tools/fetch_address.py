"""Which URLs and network addresses may be fetched from. Connects to nothing, resolves nothing.

A URL's form is judged here; where its name leads is judged when it is connected to, by
tools.fetch_connect, with `why_forbidden` on each address. Called by those who fetch.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from store.errors import FetchRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL = 4096
"""Most characters of a URL."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_OTHER_SERVICES = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566, *range(6665, 6670)}
    | {6679, 6697, 9200, 10080, 11211, 27017}
)
"""Ports above 1023 whose servers may take an HTTP request for commands of their own."""

_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]"
                   r"([a-z0-9_-]{0,61}[a-z0-9_])?)*")  # fmt: skip
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# By name and not by `is_global`, whose answer changes with the version of Python.
_FORBIDDEN: dict[Network, str] = {
    ip_network(network): kind
    for kind, networks in {
        "this network": "0.0.0.0/8",
        "private": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7",
        "shared by a provider's customers": "100.64.0.0/10",
        "loopback": "127.0.0.0/8 ::1/128",
        "link-local": "169.254.0.0/16 fe80::/10",
        "reserved": "192.0.0.0/24 240.0.0.0/4 2001::/23 5f00::/16",
        "for documentation": "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
        "a relay of 6to4": "192.88.99.0/24",
        "for benchmarks": "198.18.0.0/15",
        "multicast": "224.0.0.0/4 ff00::/8",
    }.items()
    for network in networks.split()
}
_UNICAST = IPv6Network("2000::/3")
"""All that is global in IPv6 lies in here."""
_MAPPED, _6TO4, _NAT64 = (IPv6Network(n) for n in ("::ffff:0:0/96", "2002::/16", "64:ff9b::/96"))
_METADATA = frozenset(
    ip_address(address)
    for address in (
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "192.0.0.192",
        "168.63.129.16", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
    )
)  # fmt: skip
"""Where clouds hand out a machine's own credentials. One of them looks public."""


def parse_url(url: str) -> httpx.URL:
    """The URL in canonical form, without its fragment: name in lower case and ASCII, no default
    port. FetchRefused says what about it is not taken."""
    if len(url) > MAX_URL:
        raise _refused(url, f"it is longer than {MAX_URL} characters")
    # Programs differ in what they take a backslash or a blank for, so that one could check one
    # host and another connect to another.
    if "\\" in url or any(c.isspace() or not c.isprintable() for c in url):
        raise _refused(url, "it holds a blank, a backslash or a control character")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise _refused(url, str(error)) from error
    if parsed.scheme not in _DEFAULT_PORTS:
        raise _refused(url, f"{parsed.scheme or 'no scheme'} is neither http nor https")
    if "@" in url.partition("//")[2].partition("/")[0].partition("?")[0].partition("#")[0]:
        raise _refused(url, "it holds a user's name", "write the URL without it")
    host = _host(url, parsed.raw_host.decode("ascii", "replace"))
    _check_port(url, parsed)
    return parsed.copy_with(host=host, raw_path=parsed.raw_path, fragment=None)


def port_of(url: httpx.URL) -> int:
    """The port that a URL names, or that of its scheme."""
    return _DEFAULT_PORTS[url.scheme] if url.port is None else url.port


def _host(url: str, host: str) -> str:
    if not host:
        raise _refused(url, "it has no host")
    if ":" in host:
        if "%" in host:
            raise _refused(url, "its address names an interface of this machine")
        return host
    name = host.removesuffix(".")
    # One number for four, octal or hexadecimal ones: libraries disagree about what they mean.
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        try:
            return str(IPv4Address(name))
        except ValueError as error:
            raise _refused(
                url, f"{host} is neither a name nor an address", "write an address as 192.0.2.1"
            ) from error
    if not _NAME.fullmatch(name):
        raise _refused(url, f"{host} is not the name of a host")
    return name


def _check_port(url: str, parsed: httpx.URL) -> None:
    port = port_of(parsed)
    web = port in _DEFAULT_PORTS.values() or 1024 <= port <= 65535
    if not web or port in _OTHER_SERVICES:
        raise _refused(url, f"port {port} is not one of the web")


def why_forbidden(address: Address, allow: Iterable[Network] = ()) -> str | None:
    """What kind of address it is that is not fetched from, or None for one that may be.

    `allow` are networks that may be reached although they are not public. What hands out a
    machine's credentials may never be.
    """
    inside = _inside(address)
    if address in _METADATA or inside in _METADATA:
        return "a machine's metadata"
    if isinstance(address, IPv6Address) and address.scope_id:
        return "bound to an interface"
    if address in _MAPPED and inside is not None:
        return why_forbidden(inside, allow)
    if any(address in network for network in allow):
        return None
    for network, kind in _FORBIDDEN.items():
        if address in network:
            return kind
    if isinstance(address, IPv6Address) and address not in _UNICAST and address not in _NAT64:
        return "not a public address"
    return None if inside is None else why_forbidden(inside)


def _inside(address: Address) -> IPv4Address | None:
    """The IPv4 address that packets to an IPv6 address end at, where one is written into it."""
    if not isinstance(address, IPv6Address):
        return None
    if address in _MAPPED or address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _6TO4:
        return IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    # ISATAP writes it behind a fixed half word, in any network.
    if (int(address) >> 32) & 0xFDFFFFFF == 0x00005EFE:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _refused(url: str, why: str, hint: str = "") -> FetchRefused:
    # Without what may be a password, and in one line whatever it holds.
    shown = re.sub(r"//[^/?#]*@", "//...@", url)[:200]
    return FetchRefused(f"{shown!r} is not fetched: {why}", hint)
