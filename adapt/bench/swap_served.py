"""What the benchmarks of swaps measure: engines, assistant and HTTP as `perennial up` has them, a
swap that can be timed, and a restart to hold it against.

Measures nothing but these times. Opened by adapt.bench.swap and adapt.bench.soak.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from adapt.application import application
from adapt.assistant import Assistant, open_assistant
from adapt.base import BaseModel
from adapt.bench import Progress
from adapt.bench.swap_load import Answer
from adapt.bench.swap_made import Bytes
from adapt.canary import make_live
from adapt.evals.suites import catalogue_of, kept_base_suite
from adapt.runtime import Runtime, open_runtime
from adapt.schedule import Worker
from adapt.serving import serving
from adapt.swap import Swapped
from adapt.swap_member import Common
from agent.config import load_settings
from agent.engine import Delta, Engine
from agent.history import USUAL
from agent.runs import Agent
from agent.serve import EngineProcess
from agent.state import Token
from store.records import Episode
from tools.calculate import Calculate
from tools.registry import Registry
from tools.virtual import Sessions, virtual_tools
from tools.virtual_api.catalogue import Tool
from tools.virtual_api.tasks import TaskWriter

TASKS, FACTS = 40, 40
"""Questions of each kind: one call, several calls, none."""
LAG_S = 0.01
BATCHES = (3, 8, 16)
"""So many times at once what was empty, and is not alone, is asked for again."""


@dataclass(frozen=True)
class Swap:
    """One swap and its moments, in seconds of CLOCK_MONOTONIC."""

    begin: float
    end: float
    swapped: Swapped

    @property
    def seconds(self) -> float:
        """All of it: loading, proving, warming, the flip, unloading what is old."""
        return self.end - self.begin


class Served:
    """The assistant at `url`, and its runtime."""

    def __init__(self, runtime: Runtime, assistant: Assistant, url: str) -> None:
        self.runtime, self.agent, self.url = runtime, assistant.agent, url
        self.registry = assistant.registry
        self.lags: list[tuple[float, float]] = []
        """How late the event loop was: (moment, seconds)."""

    async def swap(self, name: str) -> Swap:
        """Make a version live as a cycle's last stage does."""
        begin = time.monotonic()
        swapped = await make_live(self.runtime, name)
        return Swap(begin, time.monotonic(), swapped)

    async def spoilt(self, empty: Sequence[Answer]) -> list[str]:
        """Of answers without text those that have some when asked again, after all swaps: the same
        version, the same conversation. Tells whether they are empty again among others."""
        found = []
        for answer in empty:
            episode = self.runtime.store.episodes.get(answer.episode)
            await self.runtime.swap.promote(answer.version)
            last = episode.steps >= self.agent.settings.max_steps
            settings = self.agent.settings.model_copy(update={"max_steps": 1 if last else 2})
            asked = Agent(self.runtime.engine, settings)

            async def said(asked: Agent = asked, episode: Episode = episode) -> str:
                # Streamed, as it was then: vLLM's parser of streams drops what it cannot read.
                events = asked.stream(episode.messages[:-1], self.registry, episode.version)
                return "".join([event.text async for event in events if isinstance(event, Token)])

            if not (await said()).strip():
                continue
            # Other numbers of rows round otherwise, and of two tokens that are as probable the
            # other one is chosen: a hint at the cause, no excuse.
            batches = [await asyncio.gather(*(said() for _ in range(n))) for n in BATCHES]
            again_empty = any(not text.strip() for texts in batches for text in texts)
            found.append(
                f"{answer.question}: an empty answer of {answer.version} ({episode.tokens} tokens"
                f"{', empty again in a batch' if again_empty else ''})"
            )
        return found

    def live_since(self) -> list[tuple[float, str]]:
        """What went live when, oldest first."""
        offset = time.time() - time.monotonic()
        history = self.runtime.store.versions.history()
        return [(flip.at.timestamp() - offset, flip.version) for flip in history]

    async def feel(self) -> None:
        """Note how late the event loop is, for ever: all that blocks it delays every token."""
        while True:
            due = time.monotonic() + LAG_S
            await asyncio.sleep(LAG_S)
            now = time.monotonic()
            self.lags.append((now, now - due))


@asynccontextmanager
async def served(folder: Path, engines: int, progress: Progress) -> AsyncIterator[Served]:
    """Serve the embedded model from a home of its own, with the usual settings and a few tools.

    With the whole universe of tools each question would be embedded to choose among them, which
    costs more than the answer and has nothing to do with swaps.
    """
    settings = load_settings(folder / "home", model="pico", fleet__engines=engines)
    async with (
        open_runtime(settings, lambda p: progress(f"starting {engines} vLLM: {p.step}")) as runtime,
        open_assistant(runtime) as assistant,
    ):
        # No source of tools is configured here, which would put them together anew.
        assistant.toolbox.registry = _few_tools()
        shown = assistant.agent.always_shown(assistant.registry)
        assert shown, "all tools are shown, since they are few"
        runtime.swap.common = Common((USUAL,), shown)
        app = application(runtime, assistant, Worker(runtime))
        async with serving(app, "127.0.0.1", 0) as url:
            yield Served(runtime, assistant, url)


def _few_tools() -> Registry:
    catalogue = catalogue_of(0)
    functions = [api.function for api in _tool().apis]
    return Registry([Calculate(), *virtual_tools(catalogue, Sessions(catalogue), functions)])


def _tool() -> Tool:
    """A tool of the universe that the embedded model has never seen; it reads the schemas."""
    return catalogue_of(0).split("unseen_category")[0]


def questions() -> list[str]:
    """What the clients ask, the kinds in turn."""
    writer = TaskWriter(catalogue_of(0), [_tool()], random.Random("swap"))
    one = [writer.write("single").query for _ in range(TASKS)]
    several = [writer.write("multi").query for _ in range(TASKS)]
    known = [i.messages[-1].content for i in kept_base_suite(1, 2 * FACTS).items]
    return [question for turn in zip(one, several, known[::2], strict=True) for question in turn]


@dataclass(frozen=True)
class Restart:
    """An engine stopped and started anew with an adapter, to its first token; in seconds."""

    stop: float
    start: float

    @property
    def seconds(self) -> float:
        """From SIGTERM to the first token."""
        return self.stop + self.start


async def restart(folder: Path, base: BaseModel, made: Bytes, progress: Progress) -> Restart:
    """How long clients wait where an update means a restart. Nobody else uses the machine."""
    settings = load_settings(folder / "home", model="pico").engine
    process = EngineProcess(
        base.path, served_name="base", run_dir=folder / "run", log=folder / "engine.log",
        settings=settings,
    )  # fmt: skip

    async def first_token() -> None:
        process.start()
        await process.wait_healthy(lambda p: progress(f"an engine to restart: {p.step}"))
        async with Engine(process.socket) as engine:
            await engine.load_adapter("adapter", made.path)
            asked = [{"role": "user", "content": questions()[0]}]
            async for piece in engine.chat_stream("adapter", asked, max_tokens=1):
                assert isinstance(piece, Delta), piece
                return

    try:
        await first_token()
        began = time.monotonic()
        await asyncio.to_thread(process.stop)
        stopped = time.monotonic()
        await first_token()
        return Restart(stopped - began, time.monotonic() - stopped)
    finally:
        await asyncio.to_thread(process.stop)
