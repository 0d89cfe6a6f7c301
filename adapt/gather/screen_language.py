"""Sentences in another language than the document around them, from whom is not fully trusted.

The readers of a page in one language do not read a sentence in another; a model does. The rules
know few wordings in other languages than English, and the networks of screen_meaning none, so what
they cannot read is kept for a person. Called by adapt.gather.screening.
"""

import re
import unicodedata
from collections.abc import Iterator

from adapt.gather.screen_text import at, excerpt, read_of
from store.normal import language_of
from store.records import Document
from store.source_records import Finding

READ = "en"
"""The language that the other rules read: in it a sentence is left to them."""
_SENTENCE = re.compile(r"(?<=[.!?;؟।])\s+|(?<=[。！？])|\n\s*\n")
_LETTERS = 30
"""A Latin sentence of fewer letters is not sure to be in any language."""
_OTHER_LETTERS = 8
"""Of a script in which a character may be a word."""
_SURE = 0.95
"""Probability from which one sentence is taken to be in a language."""


def find(document: Document) -> Iterator[Finding]:
    """The first sentence in another language than the document's, at most one."""
    parts = [part for part in read_of(document) if not part.name]
    foreign = _foreign("".join(part.text for part in parts))
    for part in parts:
        for sentence in _SENTENCE.split(part.text):
            if other := _other(sentence, document.language, foreign):
                yield Finding(
                    kind="language",
                    words=f"{at(part.place)}a sentence is in another language ({other}) than the "
                    "document: its readers pass over it, a model does not",
                    excerpt=excerpt(sentence),
                )
                return


def _other(sentence: str, own: str | None, foreign: bool) -> str | None:
    """Of which language or script a sentence is, where it is surely neither the document's own nor
    the one that is read. `foreign`: whether the document is in another script than Latin."""
    letters = [c for c in sentence if c.isalpha()]
    if _foreign(sentence) and not foreign and len(letters) >= _OTHER_LETTERS:
        return unicodedata.name(letters[len(letters) // 2]).split(" ")[0].title()
    if own is None or len(letters) < _LETTERS:
        return None
    code = language_of(sentence, _SURE)
    return code if code not in (None, own, READ) else None


def _foreign(text: str) -> bool:
    """Whether most letters are not Latin."""
    letters = [c for c in text if c.isalpha()]
    return 2 * sum(c >= "\u0250" for c in letters) > len(letters)
