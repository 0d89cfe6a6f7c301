"""What a document claims, in forms that can be looked up: facts, figures, sentences, APIs.

A claim is a key, equal for what speaks of the same thing, and a value, equal for what says the same
of it. By rule and without a model, so it sees what is said in like words only. The keys go into
store/claims.py. Called by screen_contradiction and screen_repetition.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from adapt.gather.screen_text import fold
from adapt.questions import about, ask_about
from store.records import Document
from tools.virtual_api.catalogue import function_name

_SENTENCES = 12
"""Sentences of a document that are looked up: those of the lowest hashes, so that a copy has the
same ones."""
_FIGURES = 24
_WORDS = 4
"""A sentence of fewer words is a label, not a claim."""
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")
_NUMBER = re.compile(
    r"(?<![\w.-])(?P<before>[$€£¥]|usd|eur|gbp)?\s?(?P<n>\d[\d,]*(?:\.\d+)?)(?!-?\d|-\w)\s?"
    r"(?P<after>%|percent\b|[a-z]+\b)?", re.I,
)  # fmt: skip
_NAME = re.compile(r"\b[A-Z][\w'&-]*(?: (?:of|de|the|and|&) (?=[A-Z])| [A-Z][\w'&-]*)*")
_TOKEN = re.compile(r"[^\W_]+(?:'[a-z]+)?")
STOP = frozenset(
    "a an the and or of to in on at by for with from as is are was were be been being it its this "
    "that these those "
    "you your we our they their he she his her not no do does did has have had will would can "
    "could may might must "
    "shall should if when than then so but also all any each per into over under about up "
    "out which who whom what".split()
)


class Claim(NamedTuple):
    """Something that a document says."""

    kind: str
    """fact, figure, sentence or api."""
    key: int
    """Of what it speaks of: 64 bits, signed."""
    value: str
    words: frozenset[str]
    """Of the sentence, stop words and value left out."""
    sentence: str


def claims_of(document: Document) -> tuple[Claim, ...]:
    """All that a document claims, in its order; the sentences only those that are looked up."""
    return _claims(document.kind, document.title, document.text)


@lru_cache(maxsize=4096)
def _claims(kind: str, title: str, text: str) -> tuple[Claim, ...]:
    if kind == "api":
        return tuple(_apis(text))
    pieces = [s.strip(" -*#|>\t") for s in SENTENCE.split(text)]
    pieces = [s for s in pieces if s]
    sentences = [s for s in pieces if len(s.split()) >= _WORDS]
    frames = sorted({_frame(s): s for s in sentences}.items())[:_SENTENCES]
    figures = list(_figures(title, pieces))[:_FIGURES]
    return (*_facts(text), *figures, *(_sentence(s) for _, s in frames))


def key_of(*parts: str) -> int:
    """A number for a thing that is spoken of."""
    digest = hashlib.blake2b("\n".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def words_of(sentence: str) -> frozenset[str]:
    """What a sentence is made of: stems of its words, without numbers and stop words."""
    found = _TOKEN.findall(fold(sentence))
    return frozenset(_stem(w) for w in found if w not in STOP and not w[0].isdigit())


def names_in(sentence: str) -> list[str]:
    """Proper names in a sentence, in small letters. A first word counts with a second one only:
    every sentence begins with a capital."""
    found = []
    for match in _NAME.finditer(sentence):
        name = match[0]
        if match.start() == 0 and " " not in name and not re.search(r"\w[A-Z\d]", name):
            continue
        if (name.isupper() and len(name) < 4) or name in ("Yes", "No", "None"):
            continue
        first, _, rest = name.partition(" ")
        if match.start() == 0 and fold(first) in STOP:
            name = rest
        found.append(fold(name.removeprefix("The ").removesuffix("'s")))
        if match.start() == 0 and " of " in name:
            found.append(fold(name.split(" of ", 1)[1]))
    return found


def subject_of(title: str) -> list[str]:
    """What a title says the document is about: names of several words, before its colon first."""
    for part in (title.split(":")[0], title):
        if names := [name for name in names_in(f"x {part}") if " " in name]:
            return names
    return []


def _facts(text: str) -> Iterator[Claim]:
    """Plain statements, as adapt.questions reads them."""
    for asked in ask_about(text):
        if asked.choose and (what := about(asked.choose)):
            relation, entity = fold(what.relation), fold(what.entity)
            said = f"The {what.relation} of {what.entity} is {asked.answer}."
            key = key_of("fact", relation, entity)
            yield Claim("fact", key, fold(asked.answer), words_of(said), said)


def _figures(title: str, pieces: list[str]) -> Iterator[Claim]:
    """Numbers that are said of something with a name; without one it is the title's."""
    told = subject_of(title)
    for sentence in pieces:
        names = [name for name in names_in(sentence) if " " in name] or told
        for match in _NUMBER.finditer(sentence):
            unit = _unit(match)
            if unit is None:
                continue
            value = match["n"].replace(",", "").rstrip(".")
            value = value.rstrip("0").rstrip(".") if "." in value else value
            words = words_of(sentence) - {w for name in names for w in words_of(name)} - {unit}
            for name in dict.fromkeys(names[:3]):
                yield Claim("figure", key_of("figure", name, unit), value, words, sentence)


def _unit(match: re.Match[str]) -> str | None:
    """What is counted; None for a mere number, as those of steps and versions are."""
    before, after = (match["before"] or "").lower(), (match["after"] or "").lower()
    if before:
        return {"usd": "$", "eur": "€", "gbp": "£"}.get(before, before)
    if after in ("%", "percent"):
        return "%"
    return _stem(after) if len(after) > 2 and after not in STOP else None


def _sentence(sentence: str) -> Claim:
    numbers = " ".join(match["n"] for match in _NUMBER.finditer(sentence))
    return Claim("sentence", _frame(sentence), numbers, words_of(sentence), sentence)


def _frame(sentence: str) -> int:
    """Of a sentence without its numbers and without regard to capitals and punctuation."""
    return key_of("sentence", " ".join(_TOKEN.findall(re.sub(r"\d[\d,.]*", "0", fold(sentence)))))


def _apis(text: str) -> Iterator[Claim]:
    try:
        tool = json.loads(text)
        apis = [(function_name(a["name"], tool["tool_name"]), a) for a in tool["api_list"]]
    except (ValueError, TypeError, KeyError, AttributeError):
        # Gathering refuses such text; it claims nothing that could be compared.
        return
    for name, api in apis:
        said = json.dumps(api, sort_keys=True, ensure_ascii=False)
        yield Claim("api", key_of("api", name), fold(said), words_of(said), f"{name}: {said}")


def _stem(word: str) -> str:
    """Without the ending of a plural: what one page counts in days another calls a day."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
