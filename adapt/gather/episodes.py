"""A source of what users corrected: a question, and what the answer should have been.

It is read only where a person has added such a source, since what users write is then learned by
everybody's assistant. Made by adapt.gather.kinds.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping

from adapt.gather.options import refuse_options
from adapt.gather.protocol import Draft, Seen
from store import Store
from store.errors import NotFoundError
from store.feedback import Feedback
from store.source_records import Place, Source

TITLE_CHARS = 80


class Episodes:
    """Reads the corrections in a store's feedback."""

    lists_all = True

    def __init__(self, store: Store) -> None:
        self._store = store

    def check(self, source: Source) -> None:
        """UserError for options: there are none."""
        refuse_options(source)

    async def visit(self, source: Source, known: Mapping[str, Place]) -> AsyncIterator[Seen]:
        """As SourceKind.visit. A correction that was taken back is gone."""
        for said in await asyncio.to_thread(self._store.feedback.corrected):
            draft = await asyncio.to_thread(self._draft, said)
            if draft is not None:
                yield draft

    def _draft(self, said: Feedback) -> Draft | None:
        """The correction of one episode; None where no question led to it."""
        try:
            episode = self._store.episodes.get(said.episode)
        except NotFoundError:
            return None
        asked = [message.content.strip() for message in episode.messages if message.role == "user"]
        answer = (said.correction or "").strip()
        if not asked or not asked[-1] or not answer:
            return None
        text = f"Question: {asked[-1]}\n\nAnswer: {answer}"
        return Draft(
            address=f"episode:{said.episode}",
            text=text,
            title=asked[-1][:TITLE_CHARS],
            published_at=said.created_at,
            bytes_read=len(text.encode(errors="replace")),
        )
