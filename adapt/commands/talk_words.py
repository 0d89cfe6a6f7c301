"""What can be said in a conversation beside questions: `/version`, `/compare`, `/why` and so on.

Each is a function of the conversation and of what follows the word. Called by
adapt.commands.talk_chat.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from adapt.commands.talk_view import Teller, Told, printable
from adapt.show import table
from store.errors import ConfigError, NotFoundError, UserError

if TYPE_CHECKING:
    from adapt.commands.talk_chat import Chat

LIVE = "live"
_THREAD = re.compile(r"[\w.:@-]{1,128}")


@dataclass(frozen=True)
class Word:
    """A command of the conversation."""

    usage: str
    help: str
    obey: Callable[["Chat", str], Awaitable[bool | None]]
    """False ends the conversation."""


async def obey(chat: "Chat", name: str, rest: str) -> bool | None:
    """Do what is said. UserError for a word that there is not."""
    if name not in COMMANDS:
        raise UserError(f"there is no /{name}", "/help lists what there is; //... asks /...")
    return await COMMANDS[name].obey(chat, rest)


async def _version(chat: "Chat", name: str) -> None:
    """Which versions there are, or another one from now on."""
    rows = await chat.talker.versions()
    chat.known = [row["name"] for row in rows]
    live = next((row["name"] for row in rows if row["live"]), None)
    if not name:
        current = chat.version or live
        shown = [
            row | {"here": "this chat" if row["name"] == current else ""} for row in rows
        ]  # fmt: skip
        chat.options.put(
            {"version": chat.version, "live": live, "versions": rows},
            table(shown, "name", "state", "parent", "here"),
        )
        return
    if name != LIVE and name not in chat.known:
        raise _unknown(name, chat.known)
    chat.version = None if name == LIVE else name
    chat.say(f"from now on {chat.version or f'whatever is live, now {live}'} answers")


def _unknown(name: str, known: list[str]) -> NotFoundError:
    return NotFoundError(
        f"no version {name!r} can be asked", f"there are: live, {', '.join(known)}"
    )


async def _compare(chat: "Chat", rest: str) -> None:
    """One question to two versions, without what was said before."""
    names = rest.split(maxsplit=2)
    if len(names) < 2:
        raise ConfigError("/compare needs two versions", COMMANDS["compare"].usage)
    question = names[2] if len(names) == 3 else chat.question
    if not question:
        raise ConfigError("nothing was asked yet", COMMANDS["compare"].usage)
    rows = await chat.talker.versions()
    chat.known = [row["name"] for row in rows]
    for name in names[:2]:
        if name != LIVE and name not in chat.known:
            raise _unknown(name, chat.known)
    teller = Teller(chat.console, aloud=False)
    told = [
        await teller.tell(chat.talker.ask(question, None, None if name == LIVE else name))
        for name in names[:2]
    ]
    chat.options.put(
        {"question": question, "compared": [one.json() for one in told]}, _side_by_side(told)
    )


def _side_by_side(told: list[Told]) -> Table:
    """A column for each answer, with the calls that led to it."""
    made = Table(box=None, pad_edge=False, padding=(0, 2), expand=True)
    for one in told:
        made.add_column(one.version, ratio=1, overflow="fold")
    made.add_row(*(Text(printable(one.text.strip()) or "(no answer)") for one in told))
    calls = ["\n".join(f"{c['name']} {c['arguments']}" for c in t.calls.values()) for t in told]
    if any(calls):
        made.add_row(*(Text(printable(each), "dim") for each in calls))
    return made


async def _why(chat: "Chat", episode: str) -> None:
    """The version, updates, documents and sources behind an answer."""
    from adapt.commands.lineage import of_answer

    if not episode and (chat.told is None or not chat.told.episode):
        raise ConfigError("nothing was answered yet", COMMANDS["why"].usage)
    asked = episode or (chat.told.episode if chat.told else "")
    await asyncio.to_thread(of_answer, chat.options, asked)


async def _thread(chat: "Chat", name: str) -> None:
    """Which thread this is, or another one from now on."""
    if name:
        if not _THREAD.fullmatch(name):
            raise ConfigError(
                f"{name!r} is no name of a thread", "1 to 128 letters, digits or . : @ _ -"
            )
        chat.thread = name
    chat.say(f"thread {chat.thread}")


async def _new(chat: "Chat", _: str) -> None:
    """A thread that knows nothing of what was said."""
    from adapt.commands.talk_chat import new_thread

    chat.thread = new_thread()
    chat.say(f"thread {chat.thread}")


async def _help(chat: "Chat", _: str) -> None:
    for word in COMMANDS.values():
        chat.say(f"  {word.usage:<34} {word.help}")
    chat.say("  Ctrl-C stops an answer, Ctrl-D ends")


async def _quit(_chat: "Chat", _: str) -> bool:
    return False


COMMANDS = {
    "version": Word("/version [NAME | live]", "which versions there are; ask another", _version),
    "compare": Word("/compare A B [QUESTION]", "two versions on one question", _compare),
    "why": Word("/why [EPISODE]", "what is behind the last answer", _why),
    "thread": Word("/thread [NAME]", "which thread this is; go on with another", _thread),
    "new": Word("/new", "a new thread", _new),
    "help": Word("/help", "this list", _help),
    "quit": Word("/quit", "the end", _quit),
}
"""By their names."""
