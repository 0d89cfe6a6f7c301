"""Texts in their normal form, and the documents made of them.

Two texts that read alike have one normal form, and so one digest: Unicode NFC, one kind of line
end, no blanks at the ends of lines, no control characters. What hides text without being a control
character stays, as screening has to see it. Fetching and judging are adapt/gather's business, which
is the caller; store/documents.py takes in what is made here.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

from store.errors import DocumentError
from store.records import Document, digest_of, utc_now

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

TITLE_CHARS = 200
"""A longer title is cut."""
_LANGUAGE_CHARS = 2000
"""What the language is told from: the beginning is enough, and a book would take seconds."""
_SURE = 0.6
"""Probability from which a language counts as told."""
_LETTERS = 20
"""Of fewer letters than this no language is told: names alone would be guessed at."""
_CONTROLS = dict.fromkeys((*range(9), *range(14, 28), 31, *range(127, 133), *range(134, 160)))
"""Control characters, less tab and those that end a line for `str.splitlines`."""


def normalised(text: str) -> str:
    """The normal form; applied again it changes nothing. DocumentError when nothing is left."""
    if "\0" in text:
        raise DocumentError("is binary", "only text is read")
    # Halves of surrogate pairs, as JSON may hold, can be neither stored nor digested.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = unicodedata.normalize("NFC", text.removeprefix("\ufeff").translate(_CONTROLS))
    text = "\n".join(line.rstrip() for line in text.splitlines()).strip()
    if not text:
        raise DocumentError("is empty", "write something in it, or remove it")
    return text


def new_document(
    *,
    source: str,
    address: str,
    text: str,
    title: str = "",
    kind: Literal["prose", "api"] = "prose",
    trust: float = 1.0,
    licence: str | None = None,
    published_at: datetime | None = None,
    fetched_at: datetime | None = None,
) -> Document:
    """A document in state NEW of a text as it was found: normalised, named by its digest, with its
    language. Without a title it gets its first heading, or the last part of its address.

    DocumentError for a text in which nothing is written, and for an `api` that is no JSON.
    """
    text = _canonical(text) if kind == "api" else normalised(text)
    return Document(
        digest=digest_of([kind, text]),
        source=source,
        address=address,
        title=_title(title, text, kind, address),
        text=text,
        kind=kind,
        fetched_at=fetched_at or utc_now(),
        trust=trust,
        licence=licence,
        language=language_of(_prose_of(text) if kind == "api" else text),
        published_at=published_at,
    )


def language_of(text: str, least: float = _SURE) -> str | None:
    """ISO 639-1 code of the language, None where it is less probable than `least`."""
    text = text[:_LANGUAGE_CHARS]
    if sum(map(str.isalpha, text)) < _LETTERS:
        return None
    code, sure = _identifier().classify(text)
    return code if sure >= least and len(code) == 2 else None


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _canonical(text: str) -> str:
    """JSON with its keys in order. Not line by line, as prose: its strings may hold line ends."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"is not JSON: {error}", "an API is one JSON object") from error
    shown = json.dumps(value, ensure_ascii=False, sort_keys=True)
    shown = shown.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return unicodedata.normalize("NFC", shown)


def _title(title: str, text: str, kind: str, address: str) -> str:
    title = re.sub(r"\s+", " ", title).strip()
    if not title and kind == "prose":
        first = text.split("\n", 1)[0]
        title = first.lstrip("# ").strip() if first.startswith("#") else ""
    elif not title:
        tool = json.loads(text)
        title = str(tool.get("tool_name", "")) if isinstance(tool, dict) else ""
    if not title:
        title = PurePosixPath(unquote(urlsplit(address).path)).stem or address
    return title[:TITLE_CHARS]


def _prose_of(api: str) -> str:
    """The descriptions in an API document: its field names are English in any language."""
    return " ".join(_descriptions(json.loads(api)))


def _descriptions(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str):
                if name.endswith("description"):
                    yield item
            else:
                yield from _descriptions(item)
    elif isinstance(value, list):
        for item in value:
            yield from _descriptions(item)
