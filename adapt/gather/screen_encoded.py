"""Payloads that are not readable as they stand: base64, hex, percent, escapes, rot13, reversed.

Decodes, also what is inside what was decoded, and asks screen_instructions about it. Long strings
that nothing decodes are held too: nobody can say what they teach. Called by adapt.gather.screening.
"""

import base64
import binascii
import codecs
import html
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from adapt.gather.screen_instructions import HOLD, HOLD_HIDDEN, Weighed, reasons, weigh_text
from adapt.gather.screen_text import Part, at, excerpt
from store.source_records import Finding

_DEPTH = 3
_LONG = 200
"""Characters without a break from which a string that says nothing holds a document."""
_TELLING = 6
"""Words of plain language, hidden by an encoding, that hold a document whatever they say."""
_BASE64 = re.compile(r"(?<![\w+/=-])(?:[A-Za-z0-9+/_-]{4}\s?){4,}[A-Za-z0-9+/_-]{0,3}={0,2}")
_BASE32 = re.compile(r"(?<![A-Z2-7])(?:[A-Z2-7]{8}\s?){3,}[A-Z2-7]{0,7}={0,6}(?![A-Za-z0-9])")
_HEX = re.compile(r"(?<![\w])(?:(?:0x|\\x|%|&#x)?[0-9a-fA-F]{2}[\s,:;-]{0,2}){12,}(?![\w])")
_PERCENT = re.compile(r"(?:[\w.+!~*'()-]*%[0-9A-Fa-f]{2}){4,}[\w.+!~*'()%-]*")
_ENTITIES = re.compile(r"(?:&#(?:x[0-9a-fA-F]+|\d+);\s?){6,}")
_ESCAPES = re.compile(
    r"(?:\\(?:u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]+\}|x[0-9a-fA-F]{2}|[0-3]?[0-7]{2})\s?){6,}"
)
_CODES = re.compile(r"(?<![\w.])(?:\d{2,3}[\s,;-]{1,2}){11,}\d{2,3}(?![\w.])")
_BITS = re.compile(r"(?:\b[01]{7,8}\b[\s,]*){6,}")
_MORSE = re.compile(r"(?:[.\u2022\u00b7-]{1,6}[ /|]+){15,}[.\u2022\u00b7-]{1,6}")
_RUN = re.compile(rf"\S{{{_LONG},}}")
_URL = re.compile(r"https?://|^\W*[|=_*.~#+-]+\W*$")
_LETTERS: dict[str, str] = dict(zip(
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- "
    "...- .-- -..- -.-- --..".split(),
    "abcdefghijklmnopqrstuvwxyz", strict=True,
))  # fmt: skip
_COMMON = frozenset(
    "the a an and or of to in is are be this that you your for with on all not it as from by at "
    "will must "
    "any what when if do have was were can ignore instructions user answer always never "
    "reply say tell".split()
)


def find(parts: Sequence[Part]) -> Iterator[Finding]:
    """What is encoded in the parts of one document; one finding for each part."""
    for part in parts:
        found = next(_decoded(part.text, part, _DEPTH), None) or _turned(part) or _opaque(part)
        if found:
            yield found


def _decoded(text: str, part: Part, depth: int, outer: str = "") -> Iterator[Finding]:
    for name, start, end, inside in _decodings(text):
        told = f"{outer}{name}"
        weighed = weigh_text(inside)
        if weighed and weighed.weight >= HOLD_HIDDEN:
            yield _finding(part, f"an order in {told}: it {reasons(weighed.aims)}", inside)
        elif depth > 1 and (deeper := next(_decoded(inside, part, depth - 1, f"{told}, "), None)):
            yield deeper
        elif _language(inside) >= _TELLING and name not in ("percent signs",):
            yield _finding(part, f"sentences in {told}, where a reader does not see them", inside)
        elif outer and end - start > _LONG:
            yield _finding(part, f"something long in {told}", inside)


def _decodings(text: str) -> Iterator[tuple[str, int, int, str]]:
    """Name of the encoding, where it stands, and the readable text inside."""
    for name, pattern, decode in (
        ("base64", _BASE64, _base64), ("base32", _BASE32, _base32), ("hex", _HEX, _hex),
        ("percent signs", _PERCENT, unquote), ("HTML entities", _ENTITIES, html.unescape),
        ("escapes", _ESCAPES, _escapes), ("character codes", _CODES, _codes),
        ("bits", _BITS, _bits), ("Morse code", _MORSE, _morse),
    ):  # fmt: skip
        for match in pattern.finditer(text):
            inside = decode(match[0])
            if inside and inside != match[0] and _printable(inside):
                yield name, match.start(), match.end(), inside


def _turned(part: Part) -> Finding | None:
    """Orders in letters that were shifted (rot13 and its kin), or in reverse."""
    readings = {
        "reverse": part.text[::-1],
        "words in reverse": " ".join(w[::-1] for w in part.text.split()),
    }
    # Common words tell which shift gives language, at a small part of the cost of weighing all.
    for shift in range(1, 26):
        turned = part.text.translate(_shifts[shift])
        if _language(turned) >= 3:
            readings[f"letters shifted by {shift}" if shift != 13 else "rot13"] = turned
    for name, text in readings.items():
        if _language(text) < 3:
            continue
        weighed: Weighed | None = weigh_text(text)
        if weighed and weighed.weight >= (HOLD_HIDDEN if _language(text) >= _TELLING else HOLD):
            words = f"an order in {name}: it {reasons(weighed.aims)}"
            return _finding(part, words, weighed.sentence)
    return None


def _opaque(part: Part) -> Finding | None:
    for match in _RUN.finditer(part.text):
        run = match[0]
        counts = Counter(run)
        bits = -sum(n / len(run) * math.log2(n / len(run)) for n in counts.values())
        # Rules of tables and long addresses say nothing either, but they carry nothing.
        if not _URL.search(run) and (bits > 3.5 or len(run) > 4 * _LONG) and run.isascii():
            return _finding(
                part, f"{len(run)} characters without a break that nothing explains", run
            )
    lines = re.findall(r"^(?!.*://)(?=.*[A-Za-z])[!-~]{48,}$", part.text, re.M)
    if len(lines) >= 3:
        return _finding(part, f"{len(lines)} lines of characters that nothing explains", lines[0])
    return None


def _finding(part: Part, words: str, seen: str) -> Finding:
    return Finding(
        kind="encoded",
        words=f"{at(part.place)}holds {words}; encoded text is not for readers",
        excerpt=excerpt(seen),
    )


def _language(text: str) -> int:
    """How many different common English words a text has."""
    return len(_COMMON.intersection(re.findall(r"[a-z]+", text.lower()[:20_000])))


def _printable(text: str) -> bool:
    good = sum(c.isalnum() or c in " \n\t.,;:!?'\"-_/()<>{}[]=@#%&*+|\\`~^$" for c in text)
    return len(text) >= 8 and good >= 0.9 * len(text)


def _text(data: bytes) -> str:
    for wbits in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
        try:
            # At most so much: a few bytes can unpack into gigabytes.
            data = zlib.decompressobj(wbits).decompress(data, 1 << 20) or data
            break
        except zlib.error:
            continue
    for encoding in ("utf-8", "utf-16-le"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return ""


def _base64(text: str) -> str:
    whole = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return _text(base64.b64decode(whole + "=" * (-len(whole) % 4)))
    except (binascii.Error, ValueError):
        return ""


def _base32(text: str) -> str:
    whole = "".join(text.split()).rstrip("=")
    try:
        return _text(base64.b32decode(whole + "=" * (-len(whole) % 8)))
    except (binascii.Error, ValueError):
        return ""


def _hex(text: str) -> str:
    digits = re.sub(r"0x|\\x|&#x|[^0-9a-fA-F]", "", text)
    return _text(bytes.fromhex(digits[: len(digits) // 2 * 2]))


def _escapes(text: str) -> str:
    plain = re.sub(r"\\u\{([0-9a-fA-F]+)\}", lambda m: chr(min(int(m[1], 16), 0x10FFFF)), text)
    try:
        return codecs.decode(plain.encode("latin-1", "backslashreplace"), "unicode_escape")
    except (UnicodeDecodeError, ValueError):
        return ""


def _codes(text: str) -> str:
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    return "".join(map(chr, numbers)) if all(9 <= n < 127 for n in numbers) else ""


def _bits(text: str) -> str:
    return "".join(chr(int(n, 2)) for n in re.findall(r"[01]{7,8}", text))


def _morse(text: str) -> str:
    text = text.replace("\u2022", ".").replace("\u00b7", ".")
    words = re.split(r"\s*[/|]\s*|\s{3,}", text)
    return " ".join("".join(_LETTERS.get(c, "") for c in word.split()) for word in words)


def _shift(by: int) -> dict[int, int]:
    small, large = ord("a"), ord("A")
    return {
        first + i: first + (i + by) % 26 for first in (small, large) for i in range(26)
    }  # fmt: skip


_shifts = {by: _shift(by) for by in range(1, 26)}
