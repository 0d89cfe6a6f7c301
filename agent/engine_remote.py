"""Engines that are not ours: any OpenAI-compatible endpoint by its URL, with its key.

Knows how a URL that a person gives becomes the address of the API, and what to say when it refuses.
The key is sent and never shown. Opens no connection: `agent.engine` does, and is the only caller.
"""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx

from store.errors import ConfigError

KEY_VARIABLE = "OPENAI_API_KEY"
"""Where the key comes from, as for OpenAI's own clients."""
_VERSION = re.compile(r"/v\d\w*(?=/|$)")
_HIDDEN = "(key)"
_HINTS = {
    401: f"set {KEY_VARIABLE} to a key of this endpoint",
    403: f"the key in {KEY_VARIABLE} may not ask this; use another one",
    404: "check the model's name and the URL, which is usually https://host/v1",
    429: "too many requests, or no quota left: wait, or ask fewer at once",
}


@dataclass(frozen=True)
class Remote:
    """An endpoint: `url` is where its API begins, such as https://host/v1."""

    url: str
    key: str = field(default="", repr=False)
    ours: bool = False
    """Whether it is a vLLM server of ours, `url` its root."""

    @classmethod
    def of(cls, url: str, key: str = "") -> "Remote":
        """The endpoint that a person means: `/v1` is added to a URL whose path has no version.

        ConfigError for what is no http(s) URL, holds a password or a query, or a key that no
        header can carry.
        """
        try:
            parts = urlsplit(url.strip())
            host = httpx.URL(url.strip()).host
        except (ValueError, httpx.InvalidURL) as error:
            raise ConfigError(
                "the endpoint's URL cannot be read", "give https://host/v1"
            ) from error
        if "@" in parts.netloc or parts.query or parts.fragment:
            # The URL is kept with the results and shown; its words are left out here as well.
            raise ConfigError(
                f"the endpoint's URL holds more than an address (a password or a query; {host})",
                f"give https://host/v1, and a key in {KEY_VARIABLE}",
            )
        if parts.scheme not in ("http", "https") or not host:
            raise ConfigError(f"{url!r} is no address of an endpoint", "give https://host/v1")
        path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
        path += "" if _VERSION.search(path) else "/v1"
        key = key.strip()
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ConfigError(
                f"the value of {KEY_VARIABLE} is no key: it has blanks or odd characters",
                "set it again, without quotes",
            )
        return cls(f"{parts.scheme}://{parts.netloc}{path}", key)

    @classmethod
    def ours_at(cls, url: str) -> "Remote":
        """The root of a vLLM server of ours. ConfigError for what is no http(s) address."""
        root = cls.of(url).url.removesuffix("/v1")
        return cls(root, ours=True)

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    @property
    def on_this_machine(self) -> bool:
        """Whether the address is loopback: a proxy of the environment has no business there."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def path(self, path: str) -> str:
        """A path below `url`, which holds the version of OpenAI's protocol already."""
        return path if self.ours else path.removeprefix("/v1")

    def hidden(self, words: str) -> str:
        """Words of the endpoint without the key, which some repeat in their errors."""
        return words.replace(self.key, _HIDDEN) if self.key else words

    def hint(self, status: int) -> str:
        """The way out of a refusal."""
        if 300 <= status < 400:
            return "it is elsewhere: give the URL that it redirects to"
        return _HINTS.get(status, "the endpoint's own words are all there is")
