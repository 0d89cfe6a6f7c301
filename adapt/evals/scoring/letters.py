"""Which letters of a multiple-choice question a reply chooses.

Reads what is said and knows nothing of what is right. A reply may choose no letter, or several:
what that is worth is for adapt.evals.scoring.texts, the only caller.
"""

import re
from collections.abc import Iterator, Mapping

_BE = r"(?:\s+(?:is|would\s+be|must\s+be|should\s+be)\b)?"
_QUOTE = r"[\"'“”]?"
_STATED = re.compile(
    rf"\b(?:answer|choice|option)(?:{_QUOTE}\s*:|{_BE}\s*:|\s+(?:is|would\s+be|must\s+be)\b)\s*"
    rf"(?:(?:option|choice|letter|answer)\s+)?{_QUOTE}",
    re.IGNORECASE,
)
"""What is followed by the answer itself: "the answer is", "Answer:", "correct option: "."""
_LETTER = re.compile(r"\(([A-Za-z])\)|([A-Z])(?!\w|['’]\w)|([a-z])(?=[).]|\s*$)", re.MULTILINE)
_JOINED = re.compile(r"\s*(?:,|/|&|\band\b|\bor\b)\s*\(?([A-Z])\)?(?!\w|['’]\w)|[ \t]*\(([A-Z])\)")
_PICKED = re.compile(
    r"\b(?:it\s+is|it['’]s|choose|chose|pick|select|go\s+with)\s+(?:option\s+)?"
    r"(?:\(([A-Za-z])\)|([A-Z])(?=[).,;:!]|\s*$))",
    re.IGNORECASE | re.MULTILINE,
)
_CALLED_RIGHT = re.compile(
    r"(?<![\w'’(])\(?([A-Z])\)?\s+is\s+(?:the\s+)?(?:correct|right|best)\b(?!\s*\?)"
)
_ALONE = re.compile(r"^[ \t\"'(]*([A-Za-z])[ \t\"').:,!]*$", re.MULTILINE)
_LEADING = re.compile(
    r"^[ \t]*(?:\(([A-Z])\)|([A-Z])(?:[).:,]|[ \t]+[-–—]))(?=[ \t])", re.MULTILINE
)
_BRACKETED = re.compile(r"\(([A-Z])\)")


def letters_chosen(text: str, options: Mapping[str, str]) -> set[str]:
    """The letters that `text` gives as its answer, all of them among those of `options`.

    The surest kind of sign that is there decides: a statement or a letter on its own line; a letter
    that a line begins with; the words of one option; a letter in brackets.
    """
    text = text.replace("$", "")
    stated = _known(_stated(text), options)
    leading = _known(_leading(text), options)
    if stated:
        opens = _known(_leading(text.lstrip().partition("\n")[0]), options)
        # One that opens the reply is an answer; several are the options, told again.
        return stated | opens if len(leading) == 1 else stated
    if leading:
        return leading
    same = {letter for letter, words in options.items() if _plain(words) == _plain(text)}
    if len(same) == 1:
        return same
    return _known((m[1] for m in _BRACKETED.finditer(text)), options)


def _stated(text: str) -> Iterator[str]:
    for statement in _STATED.finditer(text):
        letter = _LETTER.match(text, statement.end())
        if letter:
            yield letter[1] or letter[2] or letter[3]
            yield from _joined(text, letter.end())
    for pattern in (_PICKED, _CALLED_RIGHT, _ALONE):
        for match in pattern.finditer(text):
            yield next(group for group in match.groups() if group)


def _leading(text: str) -> Iterator[str]:
    for match in _LEADING.finditer(text):
        yield match[1] or match[2]
        yield from _joined(text, match.end(1) + 1 if match[1] else match.end(2))


def _joined(text: str, place: int) -> Iterator[str]:
    """Further letters of "A, B or C" behind the first."""
    while match := _JOINED.match(text, place):
        yield match[1] or match[2]
        place = match.end()


def _known(letters: Iterator[str], options: Mapping[str, str]) -> set[str]:
    return {letter.upper() for letter in letters} & options.keys()


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .\"'")
