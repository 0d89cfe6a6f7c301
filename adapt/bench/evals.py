"""`perennial bench eval`: what the runner of suites costs beside asking the engine directly.

Three ways to ask the embedded model the same single-reply items, in one engine and in turns: our
runner (items, scores, outcomes, journal), the same request bodies posted by a bare HTTP client at
the same concurrency, and one after the other. All ways get the same answers, since decoding is
greedy; what is compared is tokens per second. Called by adapt.commands.bench.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from adapt.base import find_model
from adapt.bench import Progress
from adapt.evals.asking import PRIORITY, Asker, Decoding
from adapt.evals.items import Item, Suite
from adapt.evals.runner import CONCURRENCY, ask_suite
from adapt.evals.runs.journal import open_journal, read_entries
from adapt.evals.suites import general_suite, kept_base_suite
from agent.config import Settings
from agent.engine import Engine, Sampling
from agent.engine_request import chat_body
from agent.history import to_wire
from agent.serve import EngineProcess

PAIRS = 5
ITEMS = 600
ALONE = 60
"""Items that are asked one after the other: a tenth of them tells the rate."""
SEED = 11


def run(progress: Progress) -> dict[str, Any]:
    """Medians of paired runs on an engine of its own."""
    return asyncio.run(_run(progress))


def items() -> list[Item]:
    """Single-reply items of two suites: answers of a few tokens, and calls."""
    half = ITEMS // 2
    found = [*general_suite(SEED, half).items, *kept_base_suite(SEED, ITEMS).items]
    single = [i.model_copy(update={"suite": "bench"}) for i in found if i.check["kind"] != "task"]
    return single[:ITEMS]


async def _run(progress: Progress) -> dict[str, Any]:
    suite = Suite(name="bench", items=tuple(items()))
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        async with _serving(Path(folder), progress) as (process, model):
            sides = _Sides(process.socket, model, suite, Path(folder))
            progress("once through, so that all ways find the same prefix cache")
            await sides.direct(suite.items, CONCURRENCY)
            pairs: list[tuple[_Rate, _Rate]] = []
            for turn in range(PAIRS):
                progress(f"runner and bare client, pair {turn + 1} of {PAIRS}")
                # Who begins changes: what the machine does besides must not hit one side alone.
                if turn % 2:
                    bare = await sides.direct(suite.items, CONCURRENCY)
                    ours = await sides.runner()
                else:
                    ours = await sides.runner()
                    bare = await sides.direct(suite.items, CONCURRENCY)
                pairs.append((ours, bare))
            progress("one item after the other")
            alone = await sides.direct(suite.items[:: ITEMS // ALONE], 1)
    assert all(ours.tokens == bare.tokens for ours, bare in pairs), "the sides got other answers"
    ratios = [ours.rate / bare.rate for ours, bare in pairs]
    best = statistics.median(ours.rate for ours, _ in pairs)
    return {
        "items": len(suite.items),
        "concurrency": CONCURRENCY,
        "tokens": pairs[0][0].tokens,
        "ratio_to_bare": statistics.median(ratios),
        "ratio_to_bare_range": [min(ratios), max(ratios)],
        "ratio_to_sequential": best / alone.rate,
        "rows": [
            {"way": "runner", **_of([ours for ours, _ in pairs])},
            {"way": "bare client", **_of([bare for _, bare in pairs])},
            {"way": "one after the other", **_of([alone])},
        ],
    }


class _Rate:
    """Tokens (of prompts and answers) and the seconds that they took."""

    def __init__(self, tokens: int, items: int, seconds: float) -> None:
        self.tokens, self.items, self.seconds = tokens, items, seconds

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds


def _of(rates: Sequence[_Rate]) -> dict[str, float]:
    return {
        "tokens_per_second": statistics.median(r.rate for r in rates),
        "items_per_second": statistics.median(r.items / r.seconds for r in rates),
    }


class _Sides:
    """The ways to ask."""

    def __init__(self, socket: Path, model: str, suite: Suite, folder: Path) -> None:
        self.socket, self.model, self.suite, self.folder = socket, model, suite, folder
        self.decoding = Decoding()
        self._runs = 0

    async def runner(self) -> _Rate:
        """`perennial eval run`: items played and scored, every transcript kept."""
        self._runs += 1
        path = self.folder / f"items-{self._runs}.jsonl"
        async with Engine(self.socket) as engine:
            asker = Asker(engine, self.model, self.decoding)
            started = time.monotonic()
            with open_journal(path, lambda _: None) as journal:
                report = await ask_suite(asker, self.suite, journal=journal)
            seconds = time.monotonic() - started
        assert not any(o.error for o in report.outcomes), "the engine failed"
        tokens = sum(e.prompt_tokens + e.completion_tokens for e in read_entries(path))
        return _Rate(tokens, len(self.suite.items), seconds)

    async def direct(self, asked: Sequence[Item], concurrency: int) -> _Rate:
        """The same request bodies, and nothing done with the answers but counting tokens."""
        sampling: Sampling = {
            "temperature": self.decoding.temperature, "seed": self.decoding.seed,
            "priority": PRIORITY,
        }  # fmt: skip
        bodies = [
            chat_body(
                self.model, to_wire(item.messages), list(item.tools), self.decoding.max_tokens,
                sampling,
            )
            for item in asked
        ]  # fmt: skip
        waiting = iter(bodies)
        tokens = 0

        async def work(client: httpx.AsyncClient) -> None:
            nonlocal tokens
            for body in waiting:
                answer = await client.post("/v1/chat/completions", json=body)
                answer.raise_for_status()
                tokens += answer.json()["usage"]["total_tokens"]

        transport = httpx.AsyncHTTPTransport(uds=str(self.socket))
        started = time.monotonic()
        async with (
            httpx.AsyncClient(
                transport=transport, base_url="http://engine", timeout=120.0
            ) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(concurrency):
                group.create_task(work(client))
        return _Rate(tokens, len(bodies), time.monotonic() - started)


@asynccontextmanager
async def _serving(folder: Path, progress: Progress) -> AsyncIterator[tuple[EngineProcess, str]]:
    """The embedded model in an engine of its own."""
    base = find_model("pico")
    process = EngineProcess(
        base.path, served_name=base.version_name, run_dir=folder / "run",
        log=folder / "engine.log", settings=Settings().engine,
    )  # fmt: skip
    try:
        process.start()
        await process.wait_healthy(lambda p: progress(f"starting the engine, {p.elapsed_s:.0f} s"))
        yield process, base.version_name
    finally:
        await asyncio.to_thread(process.stop)
