"""`perennial bench soak`: many swaps under load, and whether anything grows, fails or slows down.

Agents stream without end while a new adapter goes live every minute; after each swap the memory and
the open files of every process are read. Ctrl-C ends it early, with the report of what was measured
until then. How a single swap is felt is adapt.bench.swap's. Called by adapt.commands.bench.
"""

import asyncio
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapt.base import find_model
from adapt.bench import Progress
from adapt.bench.soak_processes import Processes
from adapt.bench.swap_load import Answer, Clients
from adapt.bench.swap_made import Supply, make
from adapt.bench.swap_served import Served, Swap, questions, served
from adapt.bench.swap_tally import (
    empties,
    failures,
    firsts_of,
    gaps_of,
    mixed,
    percentiles,
)

MINUTES = 30.0
EVERY_S = 60.0
AGENTS = 8
THINK_S = 0.25
"""Between two questions of an agent: a machine that is never idle would hide what gets slower."""
WARM_ANSWERS = 50
SHOWN = 5


def run(
    progress: Progress,
    minutes: float = MINUTES,
    engines: int = 1,
    every_s: float = EVERY_S,
    agents: int = AGENTS,
) -> dict[str, Any]:
    """A swap every `every_s` seconds for so many minutes."""
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        return asyncio.run(_Soak(Path(folder), minutes, engines, every_s, agents, progress).run())


@dataclass
class _Soak:
    """One soak in progress; what is kept of each turn is a few numbers."""

    folder: Path
    minutes: float
    engines: int
    every_s: float
    agents: int
    progress: Progress
    swaps: list[Swap] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    empty: list[Answer] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    answers: int = 0

    async def run(self) -> dict[str, Any]:
        """Until the time is over, or Ctrl-C."""
        base = find_model("pico")
        made = await asyncio.to_thread(make, base, self.folder / "made", self.progress)
        async with served(self.folder, self.engines, self.progress) as there:
            supply = Supply(there.runtime.store, base, made, "adapter")
            processes = Processes(there.runtime)
            async with Clients(
                there.url, questions(), self.agents, self.folder, THINK_S
            ) as clients:
                await clients.until(WARM_ANSWERS, 120.0)
                with _interrupted() as stop:
                    began = time.monotonic()
                    while not stop.is_set() and time.monotonic() - began < 60 * self.minutes:
                        await self._turn(there, supply, clients, processes, stop)
                    seconds = time.monotonic() - began
                await clients.stop()
                self._take(there, await asyncio.to_thread(clients.fresh))
            self.failed += await there.spoilt(self.empty)
            return self._report(there, processes, seconds, stopped=stop.is_set())

    async def _turn(
        self, there: Served, supply: Supply, clients: Clients, processes: Processes,
        stop: asyncio.Event,
    ) -> None:  # fmt: skip
        """One swap, the calm behind it, and what was seen in both."""
        due = time.monotonic() + self.every_s
        self.swaps.append(await there.swap(supply.next()))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), max(due - time.monotonic(), 0.0))
        processes.look()
        fresh = await asyncio.to_thread(clients.fresh)
        self._take(there, fresh)
        took = sum(p["mib_last"] for p in processes.rows())
        first, gap = (percentiles(spans.all) for spans in (firsts_of(fresh), gaps_of(fresh)))
        self.rows.append({
            "swap": len(self.swaps), "answers": len(fresh), "failed": len(self.failed),
            "mib": round(took), "flip_ms": round(self.swaps[-1].swapped.flip_ms, 2),
            "swap_ms": round(1000 * self.swaps[-1].seconds, 1), "gap_p50_ms": gap.get("p50_ms"),
            "gap_p99_ms": gap.get("p99_ms"), "first_p50_ms": first.get("p50_ms"),
        })  # fmt: skip
        self.progress(
            f"swap {len(self.swaps)}, {self.answers} answers, {len(self.failed)} failed, "
            f"{took:.0f} MiB, {gap.get('p99_ms')} ms between pieces (p99)"
        )

    def _take(self, there: Served, fresh: Sequence[Answer]) -> None:
        self.answers += len(fresh)
        windows = [(s.begin, s.end) for s in self.swaps]
        self.failed += failures(fresh)
        self.empty += empties(fresh, windows)
        self.mixed += mixed(fresh, there.live_since())

    def _report(
        self, there: Served, processes: Processes, seconds: float, *, stopped: bool
    ) -> dict[str, Any]:
        found = processes.rows()
        grown = [p["growth"] for p in found if p["growth"] is not None]
        history = there.runtime.store.versions.history()
        return {
            "benchmark": "soak",
            "minutes": round(seconds / 60, 2),
            "stopped_early": stopped,
            "engines": self.engines,
            "agents": self.agents,
            "swaps": len(self.swaps),
            "answers": self.answers,
            "failed": len(self.failed),
            "mixed": len(self.mixed) + there.agent.mixed_runs,
            "growth_max": max(grown, default=None),
            "flip_ms_max": round(max(s.swapped.flip_ms for s in self.swaps), 2),
            "engine_restarts": there.runtime.engines.restarts,
            "rolled_back_by_watch": sum(flip.kind == "roll_back" for flip in history),
            "gap_p99_drift": _drift(self.rows, "gap_p99_ms"),
            "first_p50_drift": _drift(self.rows, "first_p50_ms"),
            "told": [*self.failed[:SHOWN], *self.mixed[:SHOWN]],
            "processes": found,
            "rows": self.rows,
        }


@contextmanager
def _interrupted() -> Iterator[asyncio.Event]:
    """Set by the first Ctrl-C; the second ends everything as usual."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def once() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, once)
    try:
        yield stop
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _drift(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    """The median of the last third over that of the first."""
    values = [row[name] for row in rows if row[name]]
    third = len(values) // 3
    if not third:
        return None
    return round(statistics.median(values[-third:]) / statistics.median(values[:third]), 3)
