"""What the tests of the agent share: a scripted engine, an application over it, and a client."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from agent.api.app import create_app
from agent.api.state import Actions, AppState
from agent.config_sections import AgentSettings, ServerSettings, Settings
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from agent.runs import Agent
from store.embeddings import HashEmbedder
from store.home import Home
from store.records import Version, VersionState, utc_now
from store.store import Store
from tools.base import Tool
from tools.calculate import Calculate
from tools.registry import Registry

Wire = dict[str, Any]
LIVE, NEXT = "v0-aaaaaa", "v1-bbbbbb"


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end; a test that hangs fails within half a minute."""
    return asyncio.run(asyncio.wait_for(work, 30))


def user(text: str) -> list[Wire]:
    """A conversation of one question."""
    return [{"role": "user", "content": text}]


def reckoner(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
    """Works out the question with `calculate`, then says the version and the tool's reply."""
    if messages[-1]["role"] == "tool":
        return f"{model} says {messages[-1]['content']}"
    if tools:
        return [{"name": "calculate", "arguments": {"expression": messages[-1]["content"]}}]
    return f"{model} heard {messages[-1]['content']}"


def engine_on(fake: FakeVllm) -> Engine:
    """The real client over a fake transport."""
    return Engine(Path("/nowhere/engine.sock"), transport=fake)


def registry_of(*tools: Tool) -> Registry:
    """These tools, or the calculator."""
    return Registry(tools or [Calculate()])


def open_store(path: Path) -> Store:
    """A store with a live base version and a candidate that is its child."""
    store = Store.open(Home(path / "home"), HashEmbedder())
    base = Version(
        name=LIVE, number=0, digest="a" * 64, kind="base", base_digest="b" * 64,
        template_digest="c" * 64, state=VersionState.PROMOTED, created_at=utc_now(),
    )  # fmt: skip
    store.versions.create(base)
    store.versions.go_live(LIVE)
    changes = {"name": NEXT, "number": 1, "parent": LIVE, "state": VersionState.CANDIDATE}
    store.versions.create(base.model_copy(update=changes | {"digest": "d" * 64}))
    return store


def state_on(
    fake: FakeVllm,
    store: Store,
    *,
    checkpointer: Any = None,
    actions: Actions | None = None,
    api_key: str | None = None,
    live: Callable[[], str] | None = None,
    **agent: Any,
) -> AppState:
    """Everything the application needs, with `agent` settings over the defaults."""
    server = ServerSettings.model_validate({"api_key": api_key})
    settings = Settings(server=server, agent=AgentSettings(**agent))
    engine = engine_on(fake)

    def live_name() -> str:
        version = store.versions.live()
        assert version is not None
        return version.name

    return AppState(
        agent=Agent(engine, settings.agent, checkpointer, store.episodes.add),
        store=store,
        engine=engine,
        settings=settings,
        registry=lambda thread: registry_of(),
        live=live or live_name,
        actions=actions,
    )


def client_of(state: AppState, client: str = "127.0.0.1") -> httpx.AsyncClient:
    """A client inside the process, as if it called from the address `client`."""
    transport = httpx.ASGITransport(create_app(state), client=(client, 50000))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8321")


@contextmanager
def served(state: AppState) -> Iterator[str]:
    """The application in uvicorn on a free loopback port, in its own thread and event loop."""
    config = uvicorn.Config(create_app(state), port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    for _ in range(2000):
        if server.started:
            break
        threading.Event().wait(0.01)
    assert server.started
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
