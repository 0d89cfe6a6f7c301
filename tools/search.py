"""Search over the accepted documents, as a tool. Ranking is the business of store.documents."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from store.errors import ToolRetry
from store.passages import Passage
from tools.base import CallContext, ToolSpec

PASSAGES = 3
MAX_CHARS = 1200
"""Characters of all passages of one reply together: a small model's context must hold them."""


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
        """`{"passages": [texts]}`, the best first. Raises ToolRetry for a query that is no text."""
        if set(arguments) != {"query"}:
            raise ToolRetry("search_documents takes one parameter, query")
        query = arguments["query"]
        if not isinstance(query, str) or not query.strip():
            raise ToolRetry("parameter query must be string")
        # Embedding and Chroma block: in the event loop they would stop every other run.
        found = await asyncio.to_thread(self._documents.search, query, PASSAGES)
        return json.dumps({"passages": _bounded([p.text for p in found])}, ensure_ascii=False)


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
