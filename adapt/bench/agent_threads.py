"""What a kept thread costs: memory of the process, and bytes on disk.

Many threads of two turns, each turn with a call of a tool, are kept by our agent and by LangChain's
`create_agent`, with the same checkpointer on a file of its own. Each side is a process of its own,
`python -m adapt.bench.agent_threads WAY SOCKET FILE COUNT`, whose growth is its own. Called by
adapt.bench.agent.
"""

import asyncio
import gc
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import psutil

from adapt.bench import Progress
from adapt.bench.agent_fake import MODEL, fake_engine
from adapt.bench.agent_figures import OURS, THEIRS
from adapt.bench.agent_sides import create_agent_on
from agent.config_sections import AgentSettings
from agent.engine import Engine
from agent.fleet import Fleet
from agent.runs import Agent
from agent.threads import open_threads
from store.errors import StageError
from tools.calculate import Calculate
from tools.registry import Registry

TURNS = 2
FIRST = 50
"""Threads before the count begins: caches and pools fill with them."""
AT_ONCE = 8
WORDS = 50
_QUESTION = "How much is 12 + 30?"


async def keep_threads(
    count: int, folder: Path, progress: Progress, ways: tuple[str, ...] = (OURS, THEIRS)
) -> list[dict[str, Any]]:
    """A row for each way: KiB of memory and of the file, per thread."""
    rows = []
    async with fake_engine(folder / "threads.sock", WORDS, 0.0):
        for number, way in enumerate(ways):
            progress(f"{count} threads: {way}")
            rows.append(await _child(way, folder / "threads.sock", folder / f"{number}.db", count))
    return rows


async def _child(way: str, socket: Path, file: Path, count: int) -> dict[str, Any]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", __name__, way, str(socket), str(file), str(count),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        said, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise StageError(f"the threads of {way} ended with {child.returncode}", "see above")
    return json.loads(said)


async def _work(way: str, socket: Path, file: Path, count: int) -> dict[str, Any]:
    async with open_threads(file) as saver:
        registry = Registry([Calculate()])
        if way == OURS:
            engine = Engine(socket)
            ask, close = _ours(engine, saver, registry), engine.close
        else:
            http = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=str(socket)))
            ask, close = _theirs(http, saver, registry), http.aclose
        try:
            await _all(ask, range(FIRST))
            before = _level(file)
            await _all(ask, range(FIRST, FIRST + count))
            after = _level(file)
        finally:
            await close()
    memory, disk = ((b - a) / 1024 / count for a, b in zip(before, after, strict=True))
    return {
        "way": way, "threads": count, "turns": TURNS,
        "memory_kib_per_thread": round(memory, 2), "disk_kib_per_thread": round(disk, 2),
    }  # fmt: skip


Ask = Callable[[str], Awaitable[Any]]


def _ours(engine: Engine, saver: Any, registry: Registry) -> Ask:
    agent = Agent(Fleet.of(engine, MODEL), AgentSettings(), saver)

    async def ask(thread: str) -> Any:
        asked = [{"role": "user", "content": _QUESTION}]
        result = await agent.run(asked, registry, MODEL, thread)
        assert result.answer and result.steps == 2, result

    return ask


def _theirs(http: Any, saver: Any, registry: Registry) -> Ask:
    agent = create_agent_on(http, MODEL, registry, lambda: "", saver)

    async def ask(thread: str) -> Any:
        asked = {"messages": [{"role": "user", "content": _QUESTION}]}
        # As ours: one checkpoint a run.
        config = {"configurable": {"thread_id": thread}}
        state = await agent.ainvoke(asked, config, durability="exit")
        assert state["messages"][-1].text, state

    return ask


async def _all(ask: Ask, numbers: range) -> None:
    waiting = iter(numbers)

    async def work() -> None:
        for number in waiting:
            for _ in range(TURNS):
                await ask(f"thread-{number}")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())


def _level(file: Path) -> tuple[int, int]:
    """Resident bytes of this process, bytes of the threads' file and its log."""
    gc.collect()
    files = (file, file.with_name(f"{file.name}-wal"))
    return (
        psutil.Process(os.getpid()).memory_info().rss,
        sum(f.stat().st_size for f in files if f.exists()),
    )


if __name__ == "__main__":
    _way, _socket, _file, _count = sys.argv[1:5]
    _found = asyncio.run(_work(_way, Path(_socket), Path(_file), int(_count)))
    sys.stdout.write(json.dumps(_found) + "\n")
