"""Sources that others post documents to, through the assistant's API: nothing is looked for.

What is posted is taken in at once, as a visit that tells of just that. Made by adapt.gather.kinds
and adapt.posting.
"""

from collections.abc import AsyncIterator, Mapping, Sequence

from adapt.gather.options import refuse_options
from adapt.gather.protocol import Draft, Seen
from store.source_records import Place, Source


class Posted:
    """Tells of what was posted."""

    lists_all = False

    def __init__(self, drafts: Sequence[Draft] = ()) -> None:
        self._drafts = drafts

    def check(self, source: Source) -> None:
        """UserError for options: there are none."""
        refuse_options(source)

    async def visit(self, source: Source, known: Mapping[str, Place]) -> AsyncIterator[Seen]:
        """As SourceKind.visit."""
        for draft in self._drafts:
            yield draft
