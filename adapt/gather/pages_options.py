"""What a source of kind `pages` or `feed` can be told, read from its options.

Called by adapt.gather.pages and adapt.gather.feed.
"""

from fnmatch import fnmatchcase
from typing import Annotated, Self, TypeVar

import httpx
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from store.errors import UserError
from store.source_records import Source

Texts = Annotated[
    tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)
]
Kind = TypeVar("Kind", bound=BaseModel)


class PagesOptions(BaseModel):
    """Of a source of pages."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    depth: int = Field(default=0, ge=0, le=20)
    """How many links away from its location pages are read. Of a sitemap none is followed."""
    most: int = Field(default=1000, ge=1)
    """Most addresses of the source."""
    include: Texts = ()
    """Patterns such as /docs/* of paths with their queries; none means all."""
    exclude: Texts = ()
    """Patterns of those that are left out."""
    hosts: Texts = ()
    """Further hosts whose pages belong to the source."""

    @classmethod
    def of(cls, source: Source) -> Self:
        """UserError for options that cannot be used."""
        return options_of(cls, source)

    def takes(self, url: str) -> bool:
        """Whether the patterns let an address in."""
        path = httpx.URL(url).raw_path.decode("ascii")
        wanted = not self.include or any(fnmatchcase(path, one) for one in self.include)
        return wanted and not any(fnmatchcase(path, one) for one in self.exclude)


class FeedOptions(BaseModel):
    """Of a feed."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    linked: bool = True
    """Read the page behind an entry that holds only a summary; else the summary is taken."""

    @classmethod
    def of(cls, source: Source) -> Self:
        """UserError for options that cannot be used."""
        return options_of(cls, source)


def options_of(kind: type[Kind], source: Source) -> Kind:
    """The options of a source. UserError names the one that cannot be used."""
    try:
        return kind.model_validate(source.options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"source {source.name}: the option {name} cannot be used: {first['msg']}",
            f"there are: {', '.join(kind.model_fields)}",
        ) from error
