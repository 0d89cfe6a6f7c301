"""An answer as tools.fetch gives it, and the request that asks for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpcore

from tools.fetch_body import decode, media_type


@dataclass(frozen=True)
class Asked:
    """What is sent to a server. `whole`: the bodies of errors are wanted as well."""

    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False


@dataclass(frozen=True)
class Fetched:
    """An answer. Of an error or 304 the body is empty."""

    url: str
    """Where it came from in the end, redirects followed."""
    status: int
    headers: Mapping[str, str]
    """Names in lower case; several of one name are joined by commas."""
    body: bytes
    """Unpacked."""
    bytes_read: int
    """Of bodies, as they came over the network, those of redirects included."""

    @property
    def media_type(self) -> str:
        """Such as text/html; "" when the server states none."""
        return media_type(self.headers.get("content-type", ""))[0]

    @property
    def text(self) -> str:
        """The body as text. FetchRefused when it is none."""
        return decode(self.body, media_type(self.headers.get("content-type", ""))[1])


def headers_of(answer: httpcore.Response) -> dict[str, str]:
    """Names in lower case; several of one name are joined by commas."""
    found: dict[str, str] = {}
    for raw_name, raw in answer.headers:
        name, value = raw_name.decode("latin-1").lower(), raw.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
