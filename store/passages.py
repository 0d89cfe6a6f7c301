"""Passages: the pieces of a document that search returns.

It cuts text and nothing more, with langchain's splitter; vectors and words are the business of
store/index.py and store/keywords.py. `Passage` is what the agent's search tool gets. Called by
store/search.py.
"""

import json
from functools import cache
from typing import TYPE_CHECKING

from store.records import Document, Record

if TYPE_CHECKING:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

CHARS = 720
"""Most characters of a passage, some 120 words: what the embedder reads of one."""
_CUTS = [
    r"\n\s*\n",
    r"\n",
    # After a sentence; in Chinese and Japanese no blank follows.
    r"(?<=[.!?])\s+|(?<=[。！？])",
    r"\s+",
    "",
]
"""Where a text is cut: between paragraphs, else lines, sentences, words, else anywhere."""


class Passage(Record):
    """A piece of an accepted document that fits a query."""

    document: str
    """Digest of the document."""
    title: str
    text: str
    score: float
    """Cosine similarity to the query, at most 1. The order of a search is not by it alone."""
    address: str = ""
    """Where the document was found."""
    position: int = 0
    """The how manieth passage of the document, from 0."""


def passages_of(document: Document) -> list[str]:
    """The document's passages in order: one per API for `api`, some 120 words each for prose."""
    if document.kind == "api":
        try:
            return _api_passages(json.loads(document.text))
        except (ValueError, TypeError, KeyError):
            # Gather refuses such text; what is in the store stays findable all the same.
            return split_text(document.text)
    return split_text(document.text)


def split_text(text: str) -> list[str]:
    """Pieces of at most CHARS characters that have every word of the text, in order."""
    return _splitter().split_text(text)


@cache
def _splitter() -> "RecursiveCharacterTextSplitter":
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    return RecursiveCharacterTextSplitter(
        separators=_CUTS,
        is_separator_regex=True,
        keep_separator="end",
        chunk_size=CHARS,
        chunk_overlap=0,
    )


def _api_passages(tool: dict[str, list[dict[str, object]]]) -> list[str]:
    head = f"{tool['tool_name']}: {tool.get('tool_description', '')}"
    apis = tool["api_list"]
    return [f"{head}\n{json.dumps(api, ensure_ascii=False)}" for api in apis] or [head]
