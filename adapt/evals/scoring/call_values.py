"""One normal form for the values of calls: two values are the same when their forms are.

`3`, `3.0` and `"3"` are one value, so are `true` and `"True"`, and a text in another case, spacing
or width; order in lists counts. Judges nothing. Called by the rules that compare calls
(adapt.evals.scoring.call_rules, adapt.evals.scoring.nestful_rules).
"""

import re
import unicodedata
from typing import Any

_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d{0,39})(?:\.\d{1,40})?")
"""A text that is a number. Not 007, which is the name of something."""
_PRINTED = 10**40
"""Largest whole number in decimal digits."""


def normal_form(value: Any) -> str:
    """The normal form of a JSON value, in time linear in its size.

    A text that lists values (`"['a', 'b']"`) has the form of that list.
    """
    if isinstance(value, dict):
        parts = sorted(f"{normal_text(str(key))}:{normal_form(one)}" for key, one in value.items())
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(normal_form, value)) + "]"
    if isinstance(value, str):
        text = normal_text(value)
        if text.startswith("[") and text.endswith("]"):
            inner = (one.strip("'\"") for one in text[1:-1].split(","))
            return "[" + ",".join(map(_number_or_text, inner)) + "]"
        return _number_or_text(text)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _PRINTED:
        # Python refuses to print thousands of digits, which a call in text can have.
        return hex(value)
    return str(value).lower()


def normal_text(text: str) -> str:
    """A text without case, blanks, and quotes or a full stop at its ends; marks inside count."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(plain.split()).strip("'\"`").rstrip(".")


def is_number(text: str) -> bool:
    """Whether a text is a number and nothing else."""
    return _NUMBER.fullmatch(text) is not None


def _number_or_text(text: str) -> str:
    if not is_number(text):
        return text
    # Whole numbers keep their digits: as floats, long identifiers would fall together.
    return _number(float(text)) if "." in text else str(int(text))


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
