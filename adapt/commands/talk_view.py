"""An answer on the terminal as it comes: its text, the tools it calls, its version and sources.

What models and tools write is data: it cannot move the cursor, change colours or the title, or
write to the clipboard, since control characters are shown and not sent. The text goes to standard
output, all else to the console. Called by adapt.commands.talk and adapt.commands.talk_chat.
"""

import sys
import time
import unicodedata
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from adapt.running import Answer, Confirm, Piece
from agent.state import Token, ToolCalled, ToolReplied

SHOWN = 400
"""Most characters of a tool's reply; `--json` has all of it."""


@dataclass
class Told:
    """What one answer was."""

    text: str = ""
    version: str = ""
    steps: int = 0
    episode: str = ""
    sources: tuple[dict[str, Any], ...] = ()
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By their ids: name, arguments, result."""
    confirm: Confirm | None = None
    """What the run waits for; there is no answer yet."""

    def json(self) -> dict[str, Any]:
        """The answer for programs."""
        return {
            "answer": self.text.strip(), "version": self.version, "steps": self.steps,
            "episode": self.episode, "sources": list(self.sources),
            "tools": list(self.calls.values()),
        }  # fmt: skip


class Teller:
    """Writes answers; with `aloud` false only the tools' calls, to the console."""

    def __init__(self, console: Console, *, aloud: bool, badge: bool = False) -> None:
        """`badge` adds a line with the version and the sources to each answer."""
        self.console = console
        self._aloud, self._badge = aloud, badge

    async def tell(self, pieces: AsyncGenerator[Piece, None], told: Told | None = None) -> Told:
        """Write an answer as it comes, or the rest of one that waited."""
        told = told or Told()
        told.confirm = None
        began = time.monotonic()
        async with aclosing(pieces):
            async for piece in pieces:
                self._take(piece, told)
        if told.confirm is None:
            self._end(told, time.monotonic() - began)
        return told

    def _take(self, piece: Piece, told: Told) -> None:
        match piece:
            case Token(word):
                told.text += word
                self._write(printable(word))
            case ToolCalled(id, name, arguments):
                if told.text:
                    # What was said before a call is not part of the answer.
                    self._write("\n")
                told.text = ""
                told.calls[id] = {"name": name, "arguments": arguments}
                self._note(f"  {name} {arguments}")
            case ToolReplied(id, _, reply, ok):
                told.calls.setdefault(id, {}).update(result=reply, ok=ok)
                cut = reply if len(reply) <= SHOWN else f"{reply[:SHOWN]} ..."
                self._note(f"  = {cut}", "dim" if ok else "dim red")
            case Confirm():
                told.confirm = piece
            case Answer(version, steps, episode, sources):
                told.version, told.steps, told.episode = version, steps, episode
                told.sources = sources

    def _end(self, told: Told, seconds: float) -> None:
        self._write("\n")
        if not self._badge:
            return
        for number, source in enumerate(told.sources, 1):
            where = source.get("address") or source.get("document", "")
            self._note(f"  [{number}] {source.get('title') or where}  {where}")
        steps = f"{told.steps} step{'' if told.steps == 1 else 's'}"
        self._note(f"  {told.version}, {steps}, {seconds:.1f} s", "cyan")

    def _write(self, text: str) -> None:
        if self._aloud and text:
            sys.stdout.write(text)
            sys.stdout.flush()

    def _note(self, text: str, style: str = "dim") -> None:
        # Not as markup: what tools say may hold brackets.
        self.console.print(Text(printable(text), style), highlight=False)


def printable(text: str) -> str:
    """The text with its control characters as signs for them; tabs and ends of lines stay."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(letter: str) -> str:
    kind = unicodedata.category(letter)
    if letter in "\n\t":
        return letter
    if letter == "\r":
        return ""
    if kind == "Cc":
        # The signs for C0 are a block of their own; DEL and C1 have none there.
        return chr(0x2400 + ord(letter)) if ord(letter) < 32 else "\N{REPLACEMENT CHARACTER}"
    # Marks that turn the order of letters around make a text read as another one; those that join
    # letters have no direction.
    return "" if kind == "Cf" and unicodedata.bidirectional(letter) != "BN" else letter
