"""`perennial up`: engine, assistant, HTTP and worker in one process, until it is told to stop.

Puts the parts together and takes them apart in order: first no more requests, then those under
way, then the worker (its cycle can be resumed), then the engine. Called by adapt.commands.up.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from adapt.application import application
from adapt.assistant import Assistant, open_assistant
from adapt.runtime import Runtime, open_runtime
from adapt.schedule import Worker, in_words, trigger_of
from adapt.serving import bind, serving
from adapt.show import CycleView
from agent.api.langgraph.live import RunBook
from agent.api.state import Report
from agent.config import Settings, home_of
from agent.config_sections import is_loopback
from agent.serve import StartProgress
from agent.telemetry.logs import MORE
from store import Home, Store
from store.errors import BusyError, ConfigError
from tools.registry import described

log = logging.getLogger(__name__)

DRAIN_S = 30.0
"""How long requests under way may take once the server was told to stop."""

Opener = Callable[
    [Settings, Callable[[StartProgress], None] | None], AbstractAsyncContextManager[Runtime]
]


def preflight(settings: Settings) -> None:
    """What can be refused before anything heavy starts: the home, the schedule, an address that
    others reach without a key, the port."""
    home = home_of(settings)
    if pid := home.locked_by():
        url = (home.read_status() or {}).get("url")
        raise BusyError(
            f"the home {home.path} is in use by process {pid}" + (f" at {url}" if url else ""),
            "stop that process, or choose another --home",
        )
    trigger_of(settings.schedule)
    if not is_loopback(settings.server.host) and not _has_key(settings, home):
        raise ConfigError(
            f"host {settings.server.host!r} is reachable from other machines and there is no API "
            "key",
            "make one with `perennial key create NAME`, set PERENNIAL_SERVER__API_KEY, or use "
            "127.0.0.1",
        )
    bind(settings.server.host, settings.server.port).close()


def _has_key(settings: Settings, home: Home) -> bool:
    fixed = settings.server.api_key
    if fixed and fixed.get_secret_value():
        return True
    if not home.exists():
        return False
    with Store.open(home) as store:
        return store.keys.any()


async def up(
    settings: Settings,
    view: CycleView,
    opener: Opener = open_runtime,
    announce: Callable[[Report], None] | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM. 0 when it served, 130 when it was stopped while starting.

    `announce` is told once, when requests are taken: `url`, `live`, `schedule`.
    """
    preflight(settings)
    stop = asyncio.Event()
    task = asyncio.current_task()
    assert task is not None
    serves = False

    def on_signal() -> None:
        # Before the server is up there is nothing to drain: end the start, engine and all.
        if serves and not stop.is_set():
            stop.set()
        else:
            task.cancel()

    with _signals(on_signal):
        try:
            async with opener(settings, view.engine) as runtime, service(runtime, view) as url:
                serves = True
                view.still()
                rhythm = in_words(settings.schedule)
                view.line(f"[bold]{url}[/]  live {runtime.live()}, updates {rhythm}")
                told = {"url": url, "live": runtime.live(), "schedule": rhythm}
                log.info("serving", extra={MORE: told})
                if announce:
                    announce(told)
                await stop.wait()
                view.line("stopping")
                log.info("stopping")
        except asyncio.CancelledError:
            # A second signal while stopping: what was waited for is dropped, the rest is as ever.
            return 0 if stop.is_set() else 130
    return 0


@contextlib.contextmanager
def _signals(handler: Callable[[], None]) -> Iterator[None]:
    """Have `handler` called on the event loop for SIGINT and SIGTERM."""
    loop = asyncio.get_running_loop()
    both = (signal.SIGINT, signal.SIGTERM)
    for number in both:
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in both:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def service(runtime: Runtime, view: CycleView) -> AsyncIterator[str]:
    """The assistant over HTTP with its worker, and the home's status; yields the URL."""
    server = runtime.settings.server
    async with open_assistant(runtime) as assistant:
        worker = Worker(runtime, view.notify)
        own_key = secrets.token_urlsafe(32)
        runs = RunBook()
        runtime.store.threads.settle()
        runtime.store.runs.settle()
        app = application(runtime, assistant, worker, own_key, runs)
        warm = asyncio.create_task(_warm(assistant))
        try:
            async with serving(app, server.host, server.port, DRAIN_S) as url:
                # A name for every interface is no address to call.
                local = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
                with _published(runtime, local, own_key):
                    worker.start()
                    yield url
        finally:
            warm.cancel()
            await runs.close()
            await worker.stop()
            (runtime.home.run / "status.json").unlink(missing_ok=True)


@contextlib.contextmanager
def _published(runtime: Runtime, url: str, own_key: str) -> Iterator[None]:
    """What other processes need to reach the server and its engines, kept true after swaps.

    The key is in it: only the home's owner may read there (store.home), and may do everything.
    """
    before = runtime.swap.after

    def publish() -> None:
        members = [member.told() for member in runtime.engine.members]
        runtime.home.write_status(
            {"url": url, "pid": os.getpid(), "key": own_key, "engines": members}
        )

    async def after() -> None:
        publish()
        if before:
            await before()

    publish()
    runtime.swap.after = after
    try:
        yield
    finally:
        runtime.swap.after = before


async def _warm(assistant: Assistant) -> None:
    """Rank the tools once, so that the first question does not wait for the embedding of all."""
    if assistant.agent.settings.tools_shown == "retrieved":
        # Some at a time: who stops the server right after its start would wait for all of them.
        texts = [described(spec) for spec in assistant.registry.specs()]
        for start in range(0, len(texts), 8):
            await asyncio.to_thread(assistant.embedder.kept, texts[start : start + 8])
        await asyncio.to_thread(assistant.registry.retrieve, "", 1, assistant.embedder)
