"""What tests of the LangGraph protocol share: a server on a real socket, and its real client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent_app import LIVE, NEXT, open_store, reckoner, state_on
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from adapt.serving import serving
from agent.api.app import create_app
from agent.api.state import AppState
from agent.fake_engine import FakeVllm
from agent.threads import open_threads
from tools.base import Terms
from tools.calculate import Calculate
from tools.registry import Registry

QUESTION: Any = {"messages": [{"role": "user", "content": "6*7"}]}


@dataclass
class Served:
    """A server and what is behind it."""

    url: str
    state: AppState
    fake: FakeVllm
    clients: list[LangGraphClient] = field(default_factory=list)

    def client(self, key: str | None = None) -> LangGraphClient:
        """A client with that key, or none."""
        self.clients.append(get_client(url=self.url, api_key=key))
        return self.clients[-1]


@asynccontextmanager
async def served(
    path: Path, answer: Callable[..., Any] = reckoner, *, confirm: bool = False, **fake: Any
) -> AsyncIterator[Served]:
    """A server with kept threads; with `confirm` the calculator needs a person's yes."""
    engine = FakeVllm(answer, adapters={LIVE: "/a", NEXT: "/b"}, **fake)
    store = open_store(path)
    try:
        async with open_threads(path / "threads.db") as saver:
            state = state_on(engine, store, checkpointer=saver)
            if confirm:
                terms = Terms(permission="confirm")
                state = replace(state, registry=lambda _: Registry([Calculate()], {}, terms))
            async with serving(create_app(state), "127.0.0.1", 0, 5.0) as url:
                server = Served(url, state, engine)
                try:
                    yield server
                finally:
                    await state.runs.close()
                    for client in server.clients:
                        await client.aclose()
    finally:
        store.close()


def texts(values: Any) -> list[tuple[str, str]]:
    """Type and text of the messages of a thread's values."""
    return [(message["type"], message["content"]) for message in values["messages"]]


async def until(true: Callable[[], Any], what: str) -> None:
    """Wait until something is so."""
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"in five seconds it was never so: {what}")
