"""Text that a reader does not see: invisible characters, look-alike letters, markup that hides.

Called by adapt.gather.screening.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

from adapt.gather.screen_instructions import HOLD_HIDDEN, reasons, weigh_text
from adapt.gather.screen_text import LOOK_ALIKE, Part, at, excerpt, invisible
from store.source_records import Finding

_FEW = 3
"""So many look-alike words, or invisible characters at odd places, hold a document."""
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_JOINERS = "\u200c\u200d"
_HARMLESS = "\u00ad\ufeff\u200e\u200f\u061c\u2060"
"""Soft hyphens, byte order marks, marks of direction: many an editor leaves them behind."""
_LETTERS = re.compile(r"[^\W\d_]{3,}")
_COMMENT = re.compile(r"<!--(.*?)-->|^\[(?://|comment|_)\]:\s*#\s*[\"'(](.*?)[\"')]$", re.S | re.M)
_FENCED = re.compile(r"^(```|~~~).*?^\1\s*$", re.S | re.M)
_UNSEEN = (
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|font-size\s*:\s*0*(?:\.\d+|"
    r"[01])?(?:px|pt|em|rem|%)?\s*[;\"'!]|"
    r"opacity\s*:\s*0?(?:\.0\d*)?\s*[;\"'!]|(?:left|top|text-indent|margin-left)\s*:\s*-\d{3,}|"
    r"clip\s*:\s*rect\(0|"
    r"clip-path\s*:\s*inset\((?:50|100)%|(?:max-)?(?:height|width)\s*:\s*[01](?:px)?\s*[;\"']|"
    r"transform\s*:\s*scale\(0|"
    r"(?<![-\w])color\s*[:=]\s*[\"']?\s*(?:#f{3}(?:f{3})?\b|#fef?e?fef?e?\b|white\b|snow\b|"
    r"ivory\b|transparent|rgba?\(\s*25[0-5]\s*,\s*25[0-5]\s*,\s*25[0-5]|"
    r"rgba\([^)]*,\s*0?(?:\.0\d*)?\s*\)|hsla?\([^)]*100%\s*[,)])"
)
_HIDING = re.compile(
    rf"<(\w+)\b[^>]*?(?:style\s*=\s*[\"'][^>]*?(?:{_UNSEEN})|(?:{_UNSEEN})|\shidden(?:[\s=>])|"
    r"aria-hidden\s*=\s*[\"']?true|"
    r"class\s*=\s*[\"'][^\"']*(?:sr-only|visually-hidden|d-none|"
    r"invisible)\b)[^>]*>(.*?)(?:</\1\s*>|\Z)",
    re.S | re.I,
)
_ATTRIBUTE = re.compile(
    r"<\w+[^>]*?\b(?:alt|title|aria-label|content|value|data-[\w-]+|"
    r"placeholder)\s*=\s*([\"'])(.*?)\1",
    re.S | re.I,
)
_MARKDOWN = re.compile(r"!?\[([^\]\n]*)\]\(\s*\S*\s+[\"'](.*?)[\"']\s*\)|!\[([^\]]+)\]", re.S)
_ACTIVE = re.compile(
    r"<(script|style|template|noscript|iframe|object|svg)\b[^>]*>(.*?)(?:</\1\s*>|"
    r"\Z)",
    re.S | re.I,
)
_CARRIES = re.compile(
    r"!\[[^\]]*\]\(\s*<?https?://[^)\s]*[?&=/](?:[^)\s]*(?:\{[^})]+\}|<[^>]+>|\[[A-Z_ ]+\]|\$\w+|"
    r"%7B\w+))|"
    r"<img\b[^>]*src\s*=\s*[\"']?https?://[^\"'>\s]*[?&][^\"'>\s]*(?:\{[^}]+\}|\$\w+|\[[A-Z_ "
    r"]+\]|%7B)",
    re.I,
)
_SPELLED = re.compile(r"(?<!\w)(?:[^\W\d_](?:[ .\-_|*]|\n){1,2}){14,}[^\W\d_](?!\w)")
_WORDS = re.compile(r"<[^>]+>|&\w+;")


def find(parts: Sequence[Part]) -> Iterator[Finding]:
    """What the parts of one document hide."""
    for part in parts:
        if match := _SPELLED.search(part.text):
            yield _hidden(part, "spells words letter by letter, apart", match[0])
        yield from _characters(part)
        yield from _look_alikes(part)
        yield from _markup(part)


def _characters(part: Part) -> Iterator[Finding]:
    text = part.text
    if text.isascii():
        return
    tags = "".join(chr(ord(c) - 0xE0000) for c in text if 0xE0020 <= ord(c) <= 0xE007E)
    if len(tags) > 6 or (tags and "\U0001f3f4" not in text):
        yield _hidden(part, f"spells {excerpt(tags)!r} in tag characters, which nobody sees", tags)
    selectors = re.search(r"[\ufe00-\ufe0e\U000e0100-\U000e01ef]{3,}", text)
    if selectors:
        yield _hidden(part, "strings together variation selectors, which can carry any text", "")
    if match := re.search(f"[{_BIDI}]", text):
        words = "changes the direction of the text, so that it reads otherwise than it is stored"
        yield _hidden(part, words, text[max(0, match.start() - 60) : match.end() + 60])
    private = sum(unicodedata.category(c) in ("Co", "Cn") for c in text)
    if private >= _FEW:
        yield _hidden(part, f"has {private} characters without a meaning (private use)", "")
    odd = [i for i, c in enumerate(text) if invisible(c) and _odd(text, i)]
    if len(odd) >= _FEW:
        around = text[max(0, odd[0] - 40) : odd[0] + 80]
        yield _hidden(
            part, f"has {len(odd)} invisible characters where no script needs them", around
        )
    marks = Counter(len(m[0]) for m in re.finditer(r"[\u0300-\u036f\u20d0-\u20ff]{3,}", text))
    if marks.total() >= _FEW:
        yield _hidden(part, "piles marks upon letters until they cannot be read", "")


def _odd(text: str, i: int) -> bool:
    """Whether an invisible character stands where it does nothing for a reader."""
    char = text[i]
    before, after = text[i - 1 : i], text[i + 1 : i + 2]
    if char in _HARMLESS:
        # One within a Latin word is a hyphenation; at every letter it is a disguise.
        return (
            char != "\u00ad"
            and before.isascii()
            and after.isascii()
            and before.isalpha()
            and after.isalpha()
        )
    if "\ufe00" <= char <= "\ufe0f":
        return before.isascii() and before.isalpha()
    if "\U000e0000" <= char <= "\U000e0fff":
        # Counted above, where flags are known.
        return False
    if char in _JOINERS and before and after:
        return before.isascii() and before.isalnum()
    if char == "\u200b":
        # Pages put one where a long word may be broken.
        return before.isalpha() and after.isalpha() and before.isascii()
    return char != "\u200b"


def _look_alikes(part: Part) -> Iterator[Finding]:
    if part.text.isascii():
        return
    mixed = []
    for match in _LETTERS.finditer(part.text):
        word = unicodedata.normalize("NFC", match[0])
        scripts = {_script(c) for c in word} - {""}
        turned = word.casefold().translate(LOOK_ALIKE)
        if (
            len(scripts) > 1
            and "LATIN" in scripts
            and scripts & {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}
        ) or (
            scripts in ({"CYRILLIC"}, {"GREEK"})
            and turned.isascii()
            and _latin_around(part.text, match)
        ):
            mixed.append(word)
    styled = re.findall(
        r"[\U0001d400-\U0001d7ff\uff21-\uff5a\u249c-\u24e9\U0001f110-\U0001f189]{4,}", part.text
    )
    if len(mixed) >= _FEW or len(styled) >= _FEW:
        shown = ", ".join((mixed or styled)[:4])
        yield _hidden(part, f"spells words with letters that only look like others: {shown}", "")


def _script(char: str) -> str:
    return unicodedata.name(char, "").split(" ")[0] if char.isalpha() else ""


def _latin_around(text: str, match: re.Match[str]) -> bool:
    around = text[max(0, match.start() - 20) : match.start()] + text[match.end() : match.end() + 20]
    letters = [c for c in around if c.isalpha()]
    return bool(letters) and all(c.isascii() for c in letters)


def _markup(part: Part) -> Iterator[Finding]:
    text = _FENCED.sub("", part.text)
    for match in _HIDING.finditer(text):
        inside = " ".join(_WORDS.sub(" ", match[2]).split())
        if len(inside.split()) >= _FEW:
            yield _hidden(part, "has an element that is styled not to be seen", inside)
            break
    for pattern, words in (
        (_COMMENT, "has a comment that is no part of the page"),
        (_ATTRIBUTE, "has an attribute that is not shown"),
        (_MARKDOWN, "has a title or a replacement text that is not shown"),
        (_ACTIVE, "has an element that a page does not show"),
    ):
        # Code that is shown hides nothing, comments in it neither.
        for match in pattern.finditer(text):
            inside = " ".join(group for group in match.groups() if group)
            found = weigh_text(inside)
            if found and found.weight >= HOLD_HIDDEN:
                yield _hidden(part, f"{words}, and it {reasons(found.aims)}", inside)
                break
    if match := _CARRIES.search(part.text):
        words = "has a picture whose address has room for what was said: shown, it would be sent"
        yield _hidden(part, words, match[0])


def _hidden(part: Part, words: str, seen: str) -> Finding:
    """A finding of something hidden, with the order in it where there is one."""
    found = weigh_text(seen) if seen else None
    if found and found.weight >= HOLD_HIDDEN and "and it" not in words:
        words += f", and it {reasons(found.aims)}"
    return Finding(
        kind="hidden-text",
        words=f"{at(part.place)}{words}; what a person cannot see, no person has checked",
        excerpt=excerpt(seen),
    )
