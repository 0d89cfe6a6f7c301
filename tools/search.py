"""Search over the accepted documents, as a tool. Ranking is the business of store.documents."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from store.errors import ToolRetry
from store.passages import Passage
from store.records import Citation
from tools.base import CallContext, ToolSpec

PASSAGES = 3
MAX_CHARS = 1000
"""Characters of all passages of one reply together: a small model's context must hold them."""
MAX_TITLE, MAX_ADDRESS = 60, 80
"""Characters of a title and of an address in a reply: some are longer than what they lead to."""


class Documents(Protocol):
    """What is searched: store.documents.Documents."""

    def search(self, query: str, k: int = 4) -> Sequence[Passage]:
        """At most `k` passages, the best first."""
        ...


class SearchDocuments:
    """The tool `search_documents`."""

    spec = ToolSpec(
        name="search_documents",
        description="search the stored documents",
        parameters={
            "type": "object",
            "required": ["query"],
            "properties": {"query": {"type": "string", "description": "what to look for"}},
        },
    )

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> str:
        """`{"passages": [texts], "sources": [title and address of each]}`, the best first. Raises
        ToolRetry for a query that is no text."""
        if set(arguments) != {"query"}:
            raise ToolRetry("search_documents takes one parameter, query")
        query = arguments["query"]
        if not isinstance(query, str) or not query.strip():
            raise ToolRetry("parameter query must be string")
        # Embedding and Chroma block: in the event loop they would stop every other run.
        found = await asyncio.to_thread(self._documents.search, query, PASSAGES)
        texts = _bounded([passage.text for passage in found])
        shown = found[: len(texts)]
        for passage in shown:
            citation = Citation(
                document=passage.document, title=passage.title, address=passage.address
            )
            if citation not in context.cited:
                context.cited.append(citation)
        # Beside the texts and not in them: a small model reads and copies plain texts best.
        reply = {"passages": texts, "sources": [_source(passage) for passage in shown]}
        return json.dumps(reply, ensure_ascii=False)


def _source(passage: Passage) -> str:
    title, address = passage.title[:MAX_TITLE], passage.address[:MAX_ADDRESS]
    return f"{title} ({address})" if address else title


def _bounded(texts: list[str]) -> list[str]:
    """The texts in order until MAX_CHARS are used up; the last one is cut."""
    kept: list[str] = []
    left = MAX_CHARS
    for text in texts:
        if left <= 0:
            break
        kept.append(text[:left])
        left -= len(text)
    return kept
