"""`perennial ask` and `perennial chat`: with the running server, or with an engine of our own."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any
from uuid import uuid4

from adapt.assistant import Assistant, open_assistant
from adapt.commands import Options
from adapt.running import Answer, Piece, find_running
from adapt.runtime import Runtime, open_runtime
from adapt.show import CycleView
from agent.config import Settings
from agent.runs import Options as RunOptions
from agent.state import Done, Token, ToolCalled, ToolReplied

Ask = Callable[[str, str | None, str | None], AsyncGenerator[Piece, None]]
"""(question, thread, version) -> the answer in pieces."""


def ask(options: Options, question: str, version: str | None) -> int:
    """One question, one answer."""
    return asyncio.run(_ask(options, question, version))


async def _ask(options: Options, question: str, version: str | None) -> int:
    with CycleView() as view:
        async with talker(options.settings(), view) as asked:
            view.still()
            told = await _say(asked(question, None, version), view, aloud=not options.as_json)
    options.put({"question": question} | told)
    return 0


def chat(options: Options, version: str | None) -> int:
    """Lines in, answers out, until the input ends. The conversation is one thread."""
    thread = f"chat-{uuid4().hex[:12]}"
    with CycleView() as view, asyncio.Runner() as runner:
        stack = AsyncExitStack()
        asked = runner.run(stack.enter_async_context(talker(options.settings(), view)))
        try:
            view.still()
            view.line(f"thread {thread}; Ctrl-D ends")
            while (line := _read()) is not None:
                if line:
                    told = runner.run(
                        _say(asked(line, thread, version), view, aloud=not options.as_json)
                    )
                    options.put({"question": line, "thread": thread} | told)
        finally:
            runner.run(stack.aclose())
    return 0


def _read() -> str | None:
    """The next line, None at the end of the input."""
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return None


async def _say(
    pieces: AsyncGenerator[Piece, None], view: CycleView, *, aloud: bool
) -> dict[str, Any]:
    """Write an answer as it comes; all of it as JSON in the end."""
    text: list[str] = []
    calls: dict[str, dict[str, Any]] = {}
    told: dict[str, Any] = {}
    async with aclosing(pieces):
        async for piece in pieces:
            match piece:
                case Token(word):
                    text.append(word)
                    if aloud:
                        sys.stdout.write(word)
                        sys.stdout.flush()
                case ToolCalled(id, name, arguments):
                    # What was said before a call is not part of the answer.
                    text.clear()
                    calls[id] = {"name": name, "arguments": arguments}
                    view.console.print(f"  {name} {arguments}", style="dim", markup=False)
                case ToolReplied(id, _, reply, ok):
                    calls[id] |= {"result": reply, "ok": ok}
                    view.console.print(f"  = {reply}", style="dim", markup=False)
                case Answer(version, steps, episode):
                    told = {"version": version, "steps": steps, "episode": episode}
    if aloud:
        sys.stdout.write("\n")
    return {"answer": "".join(text).strip(), **told, "tools": list(calls.values())}


@asynccontextmanager
async def talker(settings: Settings, view: CycleView) -> AsyncIterator[Ask]:
    """Whoever answers: the server that runs on this home, or an engine started for it."""
    running = find_running(settings)
    if running is not None:
        yield running.ask
        return
    async with (
        open_runtime(settings, view.engine) as runtime,
        open_assistant(runtime) as assistant,
    ):
        yield asking(runtime, assistant)


def asking(runtime: Runtime, assistant: Assistant) -> Ask:
    """The assistant of this process as a function."""

    async def ask(
        question: str, thread: str | None, version: str | None
    ) -> AsyncGenerator[Piece, None]:
        if version is not None:
            await runtime.swap.load(runtime.store.versions.get(version))
        events = assistant.agent.stream(
            [{"role": "user", "content": question}],
            assistant.registry,
            version or runtime.live(),
            thread=thread,
            shown=runtime.settings.agent.tools_shown,
            embedder=assistant.embedder,
            options=RunOptions(named=version is not None),
        )
        async with aclosing(events):
            async for event in events:
                if not isinstance(event, Done):
                    yield event
                elif event.result.fault is not None:
                    raise event.result.fault
                else:
                    yield Answer(event.result.version, event.result.steps, event.result.id)

    return ask
