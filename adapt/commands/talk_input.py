"""Lines that a person types: with editing, completion and history on a terminal, plain from a pipe.

Understands none of them. Called by adapt.commands.talk; read by adapt.commands.talk_chat.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from store.errors import ConfigError, UserError

HISTORY = ".chat-history"
"""Of the home; backups leave out what begins with a dot."""


class Lines(Protocol):
    """Where lines come from."""

    interactive: bool
    """Whether a person is there, who can be asked."""

    async def read(self, prompt: str = "> ") -> str | None:
        """The next line; None at the end of the input. KeyboardInterrupt for Ctrl-C."""
        ...


class Piped:
    """Lines of standard input, which is no terminal."""

    interactive = False

    async def read(self, prompt: str = "> ") -> str | None:
        """The next line; nobody sees the prompt."""
        loop = asyncio.get_running_loop()
        read: asyncio.Future[str | UserError] = loop.create_future()

        def wait() -> None:
            said = _line()
            # The loop is closed by now where Ctrl-C has ended the command.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(lambda: read.done() or read.set_result(said))

        # In a thread, so that engines are watched meanwhile; one that the end does not wait for, as
        # who writes the pipe may never close it.
        threading.Thread(target=wait, daemon=True).start()
        line = await read
        if isinstance(line, UserError):
            raise line
        return line.strip() if line else None


def _line() -> str | UserError:
    """The next line of standard input, empty at its end."""
    try:
        line = sys.stdin.readline()
        # Some locales let any byte pass as half a letter, which cannot be sent on.
        line.encode()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        return ConfigError(
            f"standard input is not UTF-8 text: the byte {byte:#04x} stands at {error.start}",
            "convert it first",
        )
    except UnicodeEncodeError:
        return ConfigError("standard input is not UTF-8 text", "convert it first")
    return line


class Typed:
    """Lines typed at a terminal."""

    interactive = True

    def __init__(
        self, history: Path, words: Callable[[], Iterable[str]], toolbar: Callable[[], str]
    ) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import FuzzyWordCompleter, ThreadedCompleter
        from prompt_toolkit.history import FileHistory, InMemoryHistory

        # A look at a home must not make one.
        kept = InMemoryHistory()
        if history.parent.is_dir():
            history.touch(mode=0o600)
            kept = FileHistory(str(history))
        completer = ThreadedCompleter(FuzzyWordCompleter(lambda: list(words()), WORD=True))
        self._session: PromptSession[str] = PromptSession(
            history=kept, completer=completer, complete_while_typing=False, bottom_toolbar=toolbar
        )

    async def read(self, prompt: str = "> ") -> str | None:
        """The next line."""
        try:
            return (await self._session.prompt_async(prompt)).strip()
        except EOFError:
            return None


def lines_of(home: Path, words: Callable[[], Iterable[str]], toolbar: Callable[[], str]) -> Lines:
    """What standard input is. `words` are completed, `toolbar` stands below the line."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return Piped()
    return Typed(home / HISTORY, words, toolbar)
