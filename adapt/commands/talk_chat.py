"""A conversation at the terminal: questions go to whoever answers, lines that begin with `/` to
adapt.commands.talk_words.

Calls that need a person's yes are asked about here. Ctrl-C stops an answer and not the
conversation. Opened by adapt.commands.talk.
"""

import asyncio
import json
import signal
from collections.abc import Awaitable, Iterable
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.text import Text

from adapt.commands import Options
from adapt.commands.talk_input import Lines
from adapt.commands.talk_view import Teller, Told, printable
from adapt.commands.talk_words import COMMANDS, obey
from adapt.running import Confirm
from adapt.talking import Talker
from store.errors import PerennialError


def new_thread() -> str:
    """A name that no thread has."""
    return f"chat-{uuid4().hex[:12]}"


class Chat:
    """One conversation. `thread` and `version` may be changed between two questions."""

    def __init__(
        self, options: Options, talker: Talker, console: Console, version: str | None
    ) -> None:
        self.options, self.talker, self.console = options, talker, console
        self.version = version
        """None means the live one."""
        self.thread = new_thread()
        self.known: list[str] = []
        """Names of versions, for completion."""
        self.question = ""
        """The last one."""
        self.told: Told | None = None
        """Its answer."""
        self.interactive = False
        self._lines: Lines | None = None

    def words(self) -> Iterable[str]:
        """What a line may hold that can be completed."""
        return [*(f"/{name}" for name in COMMANDS), *self.known]

    def toolbar(self) -> str:
        """Where the conversation is."""
        return f" {self.version or 'live'} | thread {self.thread} | /help"

    async def run(self, lines: Lines) -> None:
        """Until the input ends, or `/quit`."""
        self._lines, self.interactive = lines, lines.interactive
        self.say(f"thread {self.thread}; /help tells what can be said, Ctrl-D ends")
        self.known = [row["name"] for row in await self.talker.versions()]
        while (line := await self._next(lines)) is not None:
            if line:
                try:
                    if not await self._one(line):
                        return
                except PerennialError as error:
                    # A person goes on; a script must see that it failed.
                    if not lines.interactive:
                        raise
                    self.complain(error)

    async def _next(self, lines: Lines) -> str | None:
        while True:
            try:
                return await lines.read()
            except KeyboardInterrupt:
                continue  # as in a shell: the line is dropped

    async def _one(self, line: str) -> bool:
        """A command or a question; False when the conversation is over."""
        if line.startswith("/") and not line.startswith("//"):
            name, _, rest = line[1:].partition(" ")
            return await self.stoppable(obey(self, name, rest.strip())) is not False
        await self.stoppable(self._ask(line[1:] if line.startswith("//") else line))
        return True

    async def stoppable(self, work: Awaitable[Any]) -> Any:
        """Work that Ctrl-C ends; None where it did."""
        task = asyncio.ensure_future(work)
        if not self.interactive:
            return await task
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            self.say("\nstopped")
            return None
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    async def _ask(self, question: str) -> None:
        self.question = question
        aloud = not self.options.as_json
        teller = Teller(self.console, aloud=aloud, badge=self.interactive and aloud)
        told = await teller.tell(
            self.talker.ask(question, self.thread, self.version, confirms=self.interactive)
        )
        while told.confirm is not None:
            approved = await self._approved(told.confirm)
            told = await teller.tell(self.talker.resume(self.thread, approved), told)
        self.told = told
        self.options.put({"question": question, "thread": self.thread} | told.json())

    async def _approved(self, confirm: Confirm) -> list[str]:
        """The ids of the calls that a person says yes to; silence and Ctrl-C are a no."""
        assert self._lines is not None
        approved = []
        for call in confirm.calls:
            arguments = json.dumps(call["arguments"], ensure_ascii=False)
            self.say(f"  {call['name']} {arguments}", "yellow")
            try:
                said = await self._lines.read("  make this call? [y/N] ")
            except KeyboardInterrupt:
                said = None
            if (said or "").lower() in ("y", "yes"):
                approved.append(call["id"])
        return approved

    def say(self, text: str, style: str = "dim") -> None:
        """Write a line of our own, which is no answer."""
        self.console.print(Text(printable(text), style), highlight=False)

    def complain(self, error: PerennialError) -> None:
        """Write what went wrong, and the way out."""
        self.say(f"error: {error.message}", "red")
        if error.hint:
            self.say(f"hint: {error.hint}")
