"""A conversation at the terminal over a fake engine, in this process.

Run as a script it is `perennial chat` on it: `chat_home.py HOME`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import fake_runtime
from fake_runtime import BASE, settings_of
from rich.console import Console

from adapt.application import application
from adapt.assistant import Assistant, open_assistant
from adapt.commands import Options
from adapt.commands.talk_chat import Chat
from adapt.commands.talk_input import lines_of
from adapt.running import Running
from adapt.runtime import Runtime, ensure_base
from adapt.schedule import Worker
from adapt.serving import serving
from adapt.swap import Swapper
from adapt.talking import Here, Talker, There
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from agent.fleet import Fleet
from store import Home, Store
from store.embeddings import HashEmbedder
from tools.registry import Registry

LIVE = BASE.version_name


def answer(model: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Any:
    """Rings when it is told to, thinks for long when it is told to, and else says how often it was
    asked in this conversation."""
    asked = [m["content"] for m in messages if m["role"] == "user"]
    if messages[-1]["role"] == "tool":
        return f"{model}: {messages[-1]['content']}"
    if asked[-1] == "ring":
        return [{"name": "ring", "arguments": {}}]
    if asked[-1] == "think":
        return " ".join(["thinking", *["on"] * 500])
    return f"{model} heard {len(asked)}: {asked[-1]}"


@asynccontextmanager
async def opened(
    home: Path, registry: Registry | None = None, word_delay_s: float = 0.0
) -> AsyncIterator[tuple[Runtime, Assistant]]:
    """An assistant with these tools, its base live and one more version."""
    with Store.open(Home(home), HashEmbedder()) as store:
        vllm = FakeVllm(answer, served_name=LIVE, word_delay_s=word_delay_s)
        async with Engine(Path("-"), transport=vllm) as engine:
            ensure_base(store, BASE)
            fake_runtime.add_version(store)
            fleet = Fleet.of(engine, LIVE)
            runtime = Runtime(
                settings_of(home), Home(home), store, BASE, fleet, Swapper(store, fleet)
            )
            async with open_assistant(runtime) as made:
                made.toolbox.registry = registry or Registry([])
                yield runtime, made


@asynccontextmanager
async def here(home: Path, registry: Registry) -> AsyncIterator[Talker]:
    """The assistant in this process."""
    async with opened(home, registry) as (runtime, assistant):
        yield Here(runtime, assistant)


@asynccontextmanager
async def there(home: Path, registry: Registry) -> AsyncIterator[Talker]:
    """The same behind a server."""
    async with opened(home, registry) as (runtime, assistant):
        for version in runtime.store.versions.list():
            await runtime.swap.load(version)
        app = application(runtime, assistant, Worker(runtime))
        async with serving(app, "127.0.0.1", 0) as url:
            yield There(Running(url, ""), runtime.store)


async def main(home: Path) -> None:
    """The conversation on this terminal, until Ctrl-D."""
    async with opened(home, word_delay_s=0.1) as (runtime, assistant):
        chat = Chat(Options(home), Here(runtime, assistant), Console(stderr=True), None)
        await chat.run(lines_of(home, chat.words, chat.toolbar))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
