"""`perennial ask` and `perennial chat`: with the running server, or with an engine of our own."""

import asyncio

from adapt.commands import Options
from adapt.commands.talk_chat import Chat
from adapt.commands.talk_input import lines_of
from adapt.commands.talk_view import Teller
from adapt.show import CycleView
from adapt.talking import talker
from store.errors import UserError


def ask(options: Options, question: str, version: str | None) -> int:
    """One question, one answer. UserError for an empty one."""
    if not question.strip():
        raise UserError("the question is empty", "perennial ask 'How many ...?'")
    return asyncio.run(_ask(options, question, version))


async def _ask(options: Options, question: str, version: str | None) -> int:
    with CycleView() as view:
        async with talker(options.settings(), view.engine) as asked:
            view.still()
            teller = Teller(view.console, aloud=not options.as_json)
            told = await teller.tell(asked.ask(question, None, version))
    options.put({"question": question} | told.json())
    return 0


def chat(options: Options, version: str | None) -> int:
    """Lines in, answers out, until the input ends."""
    return asyncio.run(_chat(options, version))


async def _chat(options: Options, version: str | None) -> int:
    settings = options.settings()
    with CycleView() as view:
        async with talker(settings, view.engine) as asked:
            view.still()
            chat = Chat(options, asked, view.console, version)
            await chat.run(lines_of(settings.home, chat.words, chat.toolbar))
    return 0
