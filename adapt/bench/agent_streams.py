"""Open streams for `perennial bench agent`: clients that hold hundreds at once, and what they saw.

On the fake engine, whose words come at an even pace for a while, so that all streams are open at
the same time and a word that is late was held up by the server; and on a real one. The clients are
a process of their own (adapt.bench.swap_load). Called by adapt.bench.agent.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from adapt.bench import Progress
from adapt.bench.agent_fake import MODEL, fake_engine
from adapt.bench.swap_load import Answer, Clients
from adapt.bench.swap_tally import failures
from adapt.serving import serving
from agent.api.app import create_app
from agent.api.state import AppState
from agent.config import load_settings
from agent.engine import Engine
from agent.fleet import Fleet
from agent.runs import Agent
from agent.threads import open_threads
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import Version, VersionState, utc_now
from tools.calculate import Calculate
from tools.registry import Registry

WORDS, PAUSE_S = 100, 0.1
BEGIN_S = 60.0
"""How long until the first answers of all clients may take."""
SHOWN = 5


async def hold_fake(
    streams: int, seconds: float, folder: Path, progress: Progress,
    words: int = WORDS, pause_s: float = PAUSE_S,
) -> dict[str, Any]:  # fmt: skip
    """`streams` clients on the server over the fake engine."""
    socket = folder / "fake.sock"
    async with fake_engine(socket, words, pause_s), serve(socket, folder / "home") as url:
        asked = [f"How much is {number} + 30?" for number in range(100)]
        found = await hold(url, streams, seconds, folder, asked, progress)
    return {"engine": "fake", "pause_ms": 1000 * pause_s} | found


async def hold(
    url: str, streams: int, seconds: float, folder: Path, asked: Sequence[str], progress: Progress
) -> dict[str, Any]:
    """`streams` clients, each with one stream at a time, for `seconds` after all had an answer's
    beginning. The server is in this process, whose memory and processor time are told."""
    own = psutil.Process(os.getpid())
    before = own.memory_info().rss
    most = before
    async with Clients(url, asked, streams, folder) as clients:
        progress(f"{streams} streams begin")
        # An answer is told when it has ended: by then all others have begun.
        await clients.until(streams, BEGIN_S)
        began, spent = time.monotonic(), own.cpu_times()
        while time.monotonic() - began < seconds:
            progress(f"{streams} streams, {seconds - (time.monotonic() - began):.0f} s more")
            await asyncio.sleep(0.5)
            most = max(most, own.memory_info().rss)
        ended, now = time.monotonic(), own.cpu_times()
    answers = clients.fresh()
    failed = failures(answers)
    gaps = [later - one for a in answers for group in a.texts for one, later in pairwise(group)]
    return {
        "streams": streams, "open_at_once": open_at_once(answers),
        "asked_at_once": open_at_once(answers, asked=True),
        "answers": len(answers), "failed": len(failed), "told": failed[:SHOWN],
        "answers_per_second": round(
            sum(began <= a.end <= ended for a in answers) / (ended - began), 1
        ),
        "gap_ms_median": _ms(gaps, 50), "gap_ms_p99": _ms(gaps, 99),
        "first_ms_median": _ms([a.texts[0][0] - a.sent for a in answers if a.texts], 50),
        "server_cpu": round(
            (now.user + now.system - spent.user - spent.system) / (ended - began), 2
        ),
        "server_mib_per_stream": round((most - before) / 2**20 / streams, 3),
    }  # fmt: skip


def open_at_once(answers: Sequence[Answer], *, asked: bool = False) -> int:
    """Most streams that had begun and not ended at one moment; with `asked`, that were asked for
    and had not ended."""
    moments = [(a.sent if asked else a.begun, 1) for a in answers if not a.error]
    moments += [(a.end, -1) for a in answers if not a.error]
    count = most = 0
    # At one moment the end of a stream counts before the beginning of the next.
    for _, change in sorted(moments):
        count += change
        most = max(most, count)
    return most


def _ms(seconds: Sequence[float], percentile: float) -> float | None:
    return round(1000 * float(np.percentile(seconds, percentile)), 1) if seconds else None


@asynccontextmanager
async def serve(socket: Path, folder: Path) -> AsyncIterator[str]:
    """The assistant over HTTP as it is deployed, on the fake engine; yields the URL."""
    settings = load_settings(folder)
    home = Home(folder)
    with Store.open(home, HashEmbedder()) as store:
        store.versions.create(
            Version(
                name=MODEL, number=0, digest="0" * 64, kind="base", base_digest="0" * 64,
                template_digest="0" * 64, state=VersionState.PROMOTED, created_at=utc_now(),
            )
        )  # fmt: skip
        store.versions.go_live(MODEL)
        async with Engine(socket) as engine, open_threads(home.threads_database) as threads:
            fleet, registry = Fleet.of(engine, MODEL), Registry([Calculate()])
            state = AppState(
                agent=Agent(fleet, settings.agent, threads, store.episodes.add),
                store=store, engine=fleet, settings=settings,
                registry=lambda _: registry, live=lambda: MODEL,
            )  # fmt: skip
            async with serving(create_app(state), "127.0.0.1", 0) as url:
                yield url
