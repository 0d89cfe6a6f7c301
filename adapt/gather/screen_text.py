"""A document as the screening rules read it: its parts, and each part as a reader would see it.

A rule on plain letters is blind to letters that only look alike, to invisible ones between them,
and to words that are cut apart. Here each part is folded into what is left when all of that is
undone; what is found so is judged by the screen_* rules beside it. Called by those alone.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from store.records import Document

EXCERPT = 160
"""Characters of a document that a finding shows."""
LOOK_ALIKE = str.maketrans(
    "аеорсухіјѕԁԛԝһӏкмтвнзбпгАВЕКМНОРСТУХІЈЅԌѴαοιρτυνκχεηωγςΑΒΕΖΗΙΚΜΝΟΡΤΥΧıɡɑɩʟɴʀʏᴀᴄᴅᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢ",
    "aeopcyxijsdqwhlkmtbhs6nrabekmhopctyxijsgvaoiptuvkxenwysabezhikmnoptyxigailnryacdejkmoptuvwz",
)
"""Letters that look like a Latin one, in small Latin letters."""
_LEET = str.maketrans("013457@$!|", "oieastasil")
_WORD_MIXED = re.compile(r"[^\W_]*\d[^\W_]*|\S*[@$!|]\S*")
_SENTENCE = re.compile(r"(?<=[.!?;。！？؟।])\s+|\n\s*\n|\n(?=\s*(?:[-*#>|]|\d+[.)]))")
_SPLIT_NAME = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_\-./]+")
_HYPHEN = re.compile(r"(?<=\w)-\s*\n\s*")
_NUMBERED = re.compile(r"^\s*\d+[.)]\s+", re.M)
_BETWEEN = re.compile(r"[\s#/*|>+\"'`_=;\\{}()\[\]-]+")
_MOSTLY = 0.6
"""Share of Latin letters from which a text is Latin."""
_NAMES = {"name", "tool_name", "category_name", "enum"}


@dataclass(frozen=True)
class Part:
    """A piece of a document that is read as one: all of it, or one text of an API's JSON."""

    place: str
    """Where it is, for a person; empty for the whole."""
    text: str
    name: bool = False
    """Whether it is a name, which has no reason to say anything to anybody."""

    @cached_property
    def folded(self) -> str:
        """Small letters as they look, without what is invisible; lines and punctuation stay."""
        return fold(self.text)

    @cached_property
    def sentences(self) -> list[str]:
        """The folded text by sentences and lines of lists, spaces collapsed."""
        pieces = _SENTENCE.split(self.folded)
        return [" ".join(piece.split()) for piece in pieces if piece.strip()]

    @cached_property
    def flat(self) -> str:
        """The folded words alone: whatever stood between them is one space."""
        return " ".join(re.findall(r"[^\W_]+", self.folded))

    @cached_property
    def tight(self) -> str:
        """The folded letters alone, with nothing between them."""
        return "".join(re.findall(r"[^\W\d_]+", self.folded))

    @cached_property
    def leet(self) -> str:
        """The folded words, digits and signs within words as the letters that they stand for."""
        return _WORD_MIXED.sub(lambda m: m[0].translate(_LEET), self.folded)


def parts_of(document: Document) -> list[Part]:
    """What is read of a document: prose whole, an API's JSON as its texts and then all of them."""
    parts = [Part("title", document.title)] if document.title else []
    if document.kind == "api":
        try:
            leaves = list(_leaves(json.loads(document.text), ""))
        except ValueError:
            # Gathering refuses such text; what is in the store is read all the same.
            return [*parts, Part("", document.text)]
        whole = Part("", "\n".join(part.text for part in leaves))
        return [*parts, *leaves, whole]
    return [*parts, Part("", document.text)]


def read_of(document: Document) -> list[Part]:
    """The parts without the last of an API, which is all of them as one."""
    parts = parts_of(document)
    return parts[:-1] if document.kind == "api" and len(parts) > 1 else parts


def _leaves(value: Any, place: str) -> Iterator[Part]:
    """The texts of a JSON value; the words of a name are told apart, as they are for a model."""
    if isinstance(value, dict):
        for key, each in value.items():
            if " " in (words := " ".join(_SPLIT_NAME.split(key))):
                yield Part(f"the key {key[:40]} {place}".strip(), words)
            yield from _leaves(each, f"{place}.{key}".strip("."))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _leaves(each, f"{place}[{number}]")
    elif isinstance(value, str):
        named = re.split(r"[.\[]", place)[-1] in _NAMES
        yield name_part(place, value) if named else Part(place, value)


def name_part(place: str, name: str) -> Part:
    """A name as its words."""
    return Part(place, " ".join(_SPLIT_NAME.split(name)), name=True)


def fold(text: str) -> str:
    """Small letters as they look: compatible forms, look-alikes in Latin text, no accents and
    nothing invisible."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", text)
    text = "".join(c for c in text if not invisible(c))
    text = plain(text.casefold())
    letters = sum(c.isalpha() for c in text)
    latin = sum("a" <= c <= "z" for c in text) > _MOSTLY * letters

    def turned(match: re.Match[str]) -> str:
        word = match[0]
        if word.isascii():
            return word
        # A Russian word in Russian text stays Russian, whatever its letters look like.
        other = word.translate(LOOK_ALIKE)
        around = text[max(0, match.start() - 4) : match.start()] + text[match.end() :][:4]
        alone = latin and all(c.isascii() for c in around if c.isalpha())
        mixed = alone or any("a" <= c <= "z" for c in word)
        return other if mixed and other.isascii() else word

    return re.sub(r"[^\W\d_]+", turned, text)


def joined(folded: str) -> list[str]:
    """Sentences of a folded text whose words may stand on lines, in cells or in comments."""
    whole = _BETWEEN.sub(" ", _NUMBERED.sub("", _HYPHEN.sub("", folded)))
    return [s.strip() for s in re.split(r"[.!?。！？]", whole) if s.strip()]


def plain(text: str) -> str:
    """The text without accents."""
    text = re.sub(r"[\u0300-\u036f]", "", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFC", text)


def invisible(char: str) -> bool:
    """Whether a character shows nothing: format characters, variation selectors, tags, fillers."""
    if char < "\u00ad":
        return False
    return (
        unicodedata.category(char) == "Cf"
        or char in "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800"
        or "\ufe00" <= char <= "\ufe0f"
        or "\U000e0000" <= char <= "\U000e0fff"
    )


def excerpt(text: str, start: int = 0, end: int | None = None) -> str:
    """A piece of a text for a person, around `start:end`: one line, the invisible written out."""
    end = len(text) if end is None else end
    room = max(0, EXCERPT - (end - start)) // 2
    piece = text[max(0, start - room) : max(0, start - room) + EXCERPT]
    shown = (f"\\u{{{ord(c):x}}}" if _unshown(c) else c for c in " ".join(piece.split()))
    return "".join(shown)


def _unshown(char: str) -> bool:
    return invisible(char) or unicodedata.category(char) in ("Cc", "Co", "Cn")


def at(place: str) -> str:
    """A part's place as words of a finding."""
    return f"in {place}: " if place else ""
