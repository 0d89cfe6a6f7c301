"""What a web source writes into a place's stamp, to ask next time only for what has changed.

Called by the kinds of sources that read the web; to all others a stamp is a text.
"""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from store.records import digest_of
from tools.fetch import Fetched


class Validators(BaseModel):
    """What a server knows a version of a page by."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    etag: str | None = None
    modified: str | None = None

    @classmethod
    def of(cls, answer: Fetched) -> Self:
        """Those of an answer."""
        return cls(etag=answer.headers.get("etag"), modified=answer.headers.get("last-modified"))


class Stamp(Validators):
    """Of one address."""

    body: str | None = None
    """Start of the digest of what came, for servers that give no validators."""
    depth: int = 0
    """Steps from where the crawl began."""
    found: tuple[str, ...] = ()
    """Addresses that this page was the first to lead to: unchanged, it is not read again."""
    listed_by: str | None = None
    """The list (sitemap or feed) that names the address."""
    entry: str | None = None
    """Digest of what a feed said of the address."""
    lists: dict[str, Validators] = Field(default_factory=dict)
    """Those of the lists, at the last address of all: only who got there has seen all of them."""

    @classmethod
    def read(cls, text: str) -> Self:
        """From a place's stamp; an empty one when it is not ours."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return cls()

    def write(self) -> str:
        """For a place's stamp."""
        return self.model_dump_json(exclude_defaults=True, exclude_none=True)


def body_digest(data: bytes) -> str:
    """What `Stamp.body` holds."""
    return digest_of(data)[:32]
