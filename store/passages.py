"""Passages: the pieces of a document that search returns.

It splits text and nothing more; vectors are store/index.py's business, which is the only caller
of the splitting. `Passage` is what the agent's search tool gets.
"""

import json
import re

from store.records import Document, Record

WORDS = 120
_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


class Passage(Record):
    """A piece of an accepted document that fits a query."""

    document: str
    """Digest of the document."""
    title: str
    text: str
    score: float
    """Cosine similarity to the query, at most 1."""


def passages_of(document: Document) -> list[str]:
    """The document's passages in order: one per API for `api`, about 120 words each for prose."""
    if document.kind == "api":
        try:
            return _api_passages(json.loads(document.text))
        except (ValueError, TypeError, KeyError):
            # Gather refuses such text; what is in the store stays findable all the same.
            return split_text(document.text)
    return split_text(document.text)


def split_text(text: str, words: int = WORDS) -> list[str]:
    """Pieces of at most `words` words, cut between paragraphs, else sentences, else words."""
    pieces: list[str] = []
    for paragraph in _PARAGRAPH.split(text):
        if len(paragraph.split()) <= words:
            pieces.append(paragraph)
            continue
        for sentence in _SENTENCE.split(paragraph):
            parts = sentence.split()
            if len(parts) <= words:
                pieces.append(sentence)
            else:
                pieces += [" ".join(parts[i : i + words]) for i in range(0, len(parts), words)]
    passages: list[str] = []
    count = 0
    for piece in (piece.strip() for piece in pieces):
        length = len(piece.split())
        if passages and count + length <= words:
            passages[-1] += "\n" + piece
            count += length
        elif length:
            passages.append(piece)
            count = length
    return passages


def _api_passages(tool: dict[str, list[dict[str, object]]]) -> list[str]:
    head = f"{tool['tool_name']}: {tool.get('tool_description', '')}"
    apis = tool["api_list"]
    return [f"{head}\n{json.dumps(api, ensure_ascii=False)}" for api in apis] or [head]
