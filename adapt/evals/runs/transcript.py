"""Conversations for people's eyes: what a model said as plain text that cannot play tricks.

Model text is hostile: it may hold escape sequences, and texts of a hundred thousand words. Called
by `perennial eval show` and the HTML report.
"""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

MOST = 20_000
"""Characters of one text that are shown; the run folder has the rest."""
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the direction of a line, so that it reads as what it is not."""


def readable(text: str, most: int = MOST) -> str:
    """The text without control characters (line ends and tabs stay), cut at `most` characters."""
    shown = text[:most]
    if not shown.isprintable():
        shown = "".join(c if c in "\n\t" or not _is_control(c) else "\ufffd" for c in shown)
    more = len(text) - most
    return f"{shown}\n[{more:,} more characters]" if more > 0 else shown


def _is_control(character: str) -> bool:
    # Terminals obey Cc, and no stream can write Cs.
    return unicodedata.category(character) in ("Cc", "Cs") or character in _TURNING


def calls_of(message: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and arguments of each call of a message; arguments that are JSON are laid out."""
    found: list[tuple[str, str]] = []
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        arguments = str(function.get("arguments") or "")
        try:
            if len(arguments) <= MOST:
                arguments = json.dumps(json.loads(arguments), indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            # Shown as it stands: that it is no JSON is what the reader wants to see.
            pass
        found.append((readable(str(function.get("name"))), readable(arguments)))
    return found


def text_of(message: Mapping[str, Any]) -> str:
    """The words of a message."""
    content = message.get("content")
    return readable(content if isinstance(content, str) else json.dumps(content) if content else "")


def shown_message(message: Mapping[str, Any]) -> str:
    """A message with its role above it."""
    parts = [text_of(message)] if text_of(message) else []
    parts += [f"calls {name} {arguments}" for name, arguments in calls_of(message)]
    return f"--- {readable(str(message.get('role')))} ---\n" + ("\n".join(parts) or "(nothing)")
