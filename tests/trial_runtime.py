"""A served home over the fake engine, whose versions answer as a test says, and its clients.

`Served` is the assistant's application inside the process: no port, no worker that starts cycles.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fake_runtime import BASE, add_version, settings_of

from adapt.application import application
from adapt.assistant import open_assistant
from adapt.runtime import Runtime, ensure_base
from adapt.schedule import Worker
from adapt.swap import Swapper
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from agent.fleet import Fleet
from store import Home, Store
from store.embeddings import HashEmbedder

TOOL = "calculate"
RIGHT, WRONG = "1+1", "1+"


def worker(wrong: dict[str, Callable[[int], bool]]) -> Any:
    """An answer function: each run calls the calculator once, then answers.

    `wrong[version](n)` says whether the version's n-th call is one that fails.
    """
    made: dict[str, int] = {}

    def answer(model: str, messages: list[dict[str, Any]], tools: list[Any]) -> Any:
        if messages[-1]["role"] == "tool":
            return f"{model} says {messages[-1]['content']}"
        n = made[model] = made.get(model, 0) + 1
        fails = model in wrong and wrong[model](n)
        return [{"name": TOOL, "arguments": {"expression": WRONG if fails else RIGHT}}]

    return answer


@dataclass
class Served:
    """The running service."""

    runtime: Runtime
    fake: FakeVllm
    client: httpx.AsyncClient
    candidate: str

    async def ask(self, thread: str | None, model: str = "live") -> dict[str, Any]:
        """One run. The version that answered is the same wherever it is told."""
        body = {"model": model, "messages": [{"role": "user", "content": "sum"}]}
        headers = {"X-Thread-Id": thread} if thread else {}
        reply = await self.client.post("/v1/chat/completions", json=body, headers=headers)
        assert reply.status_code == 200, reply.text
        said = reply.json()
        version = reply.headers["X-Perennial-Version"]
        assert said["choices"][0]["message"]["content"].startswith(version)
        assert said["model"] == said["perennial"]["version"] == version
        return said

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait for what the watch does in the background."""
        async with asyncio.timeout(30):
            while not done():
                await asyncio.sleep(0.01)

    async def trials(self) -> list[dict[str, Any]]:
        """What /admin/status tells of trials."""
        return (await self.client.get("/admin/status")).json()["trials"]


@asynccontextmanager
async def served(home: Path, answer: Any, **settings: Any) -> AsyncIterator[Served]:
    """Open a home and serve it; the base is live in a new one, and a version is promoted."""
    made = settings_of(home, **settings)
    place = Home(made.home)
    fake = FakeVllm(answer, served_name=BASE.version_name)
    with Store.open(place, HashEmbedder()) as store:
        ensure_base(store, BASE)
        if len(store.versions.list()) == 1:
            add_version(store)
        async with Engine(Path("-"), transport=fake) as engine:
            fleet = Fleet.of(engine, BASE.version_name)
            runtime = Runtime(made, place, store, BASE, fleet, Swapper(store, fleet))
            live = store.versions.live()
            assert live is not None
            # As an engine's start does.
            await runtime.swap.load(live)
            async with open_assistant(runtime) as assistant:
                app = application(runtime, assistant, Worker(runtime))
                transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
                async with httpx.AsyncClient(
                    transport=transport, base_url="http://127.0.0.1:8321"
                ) as client:
                    yield Served(runtime, fake, client, store.versions.list()[1].name)
