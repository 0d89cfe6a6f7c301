"""`perennial bench swap`: what users notice of a swap, against no swap and against a restart.

Agents that are asked over HTTP stream all the time while version after version goes live: adapters
and whole weights, on one engine and on two. Counted are requests that failed or mixed versions;
measured are the pieces of text that came late, the flip of the alias, and a restart of vLLM with
the same adapter. Called by adapt.commands.bench.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from adapt.base import BaseModel, find_model
from adapt.bench import Progress
from adapt.bench.swap_load import Answer, Clients
from adapt.bench.swap_made import Bytes, Kind, Supply, make
from adapt.bench.swap_served import Restart, Served, Swap, questions, restart, served
from adapt.bench.swap_tally import (
    Window,
    compared,
    empties,
    failures,
    firsts_of,
    gaps_of,
    mixed,
)
from store.errors import ConfigError

AGENTS = 16
SWAPS = 50
ENGINES = (1, 2)
CALM_S = 3.0
"""Between two swaps; a second of it belongs to the swap before."""
WARM_ANSWERS = 100
RESTARTS = 2
SHOWN = 5
"""Failures that are told in words."""


def run(
    progress: Progress,
    engines: int | None = None,
    kind: str | None = None,
    swaps: int = SWAPS,
    agents: int = AGENTS,
) -> dict[str, Any]:
    """Each kind of swap on each number of engines. ConfigError for a kind that there is not."""
    kinds = get_args(Kind)
    if kind is not None and kind not in kinds:
        raise ConfigError(f"there is no swap of kind {kind!r}", f"there are: {', '.join(kinds)}")
    cases = [
        (each, count)
        for each in kinds
        for count in ENGINES
        if kind in (None, each) and engines in (None, count)
    ] or [(each, engines or 1) for each in kinds if kind in (None, each)]
    return asyncio.run(_run(progress, cases, swaps, agents))


async def _run(
    progress: Progress, cases: Sequence[tuple[Kind, int]], swaps: int, agents: int
) -> dict[str, Any]:
    base = find_model("pico")
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as name:
        folder = Path(name)
        made = await asyncio.to_thread(make, base, folder / "made", progress)
        restarts = []
        for number in range(RESTARTS):
            restarts.append(await restart(folder / f"restart-{number}", base, made[0], progress))
        rows = []
        for kind, engines in cases:
            case = _Case(kind, engines, swaps, agents, folder / f"{kind}-{engines}")
            rows.append(await case.run(base, made, restarts, progress))
    return {
        "benchmark": "swap",
        "agents": agents,
        "restart_s": [round(r.seconds, 2) for r in restarts],
        "restart_start_s": [round(r.start, 2) for r in restarts],
        "failed": sum(row["failed"] for row in rows),
        "mixed": sum(row["mixed"] for row in rows),
        "flip_ms_max": max(row["flip_ms_max"] for row in rows),
        "p99_gap_ratio_max": max(row.get("gap_p99_ratio", float("nan")) for row in rows),
        "rows": rows,
    }


class _Case:
    """One kind of swap on so many engines, in a home of its own."""

    def __init__(self, kind: Kind, engines: int, swaps: int, agents: int, folder: Path) -> None:
        self.kind: Kind = kind
        self.engines, self.swaps, self.agents, self.folder = engines, swaps, agents, folder
        self.title = f"{kind}, {engines} engines"

    async def run(
        self, base: BaseModel, made: list[Bytes], restarts: Sequence[Restart], progress: Progress
    ) -> dict[str, Any]:
        """All swaps, and what came of them."""
        self.folder.mkdir()
        async with served(self.folder, self.engines, progress) as there:
            supply = Supply(there.runtime.store, base, made, self.kind)
            asked = questions()
            async with Clients(there.url, asked, self.agents, self.folder) as clients:
                await clients.until(WARM_ANSWERS, 120.0)
                feeling = asyncio.create_task(there.feel())
                began = time.monotonic()
                swaps = []
                for number in range(self.swaps):
                    progress(f"{self.title}: swap {number + 1} of {self.swaps}")
                    await asyncio.sleep(CALM_S)
                    swaps.append(await there.swap(supply.next()))
                await asyncio.sleep(CALM_S)
                ended = time.monotonic()
                feeling.cancel()
                with suppress(asyncio.CancelledError):
                    await feeling
                await clients.stop()
                answers = clients.fresh()
            live, spread = there.live_since(), await _spread(there)
            wrong = mixed(answers, live)
            windows = [(s.begin, s.end) for s in swaps]
            failed = failures(answers) + await there.spoilt(empties(answers, windows))
            return (
                {"kind": self.kind, "engines": self.engines, "swaps": len(swaps)}
                | _counted(there, answers, windows)
                | {"failed": len(failed), "mixed": len(wrong) + there.agent.mixed_runs}
                | {"told": [*failed[:SHOWN], *wrong[:SHOWN]]}
                | _timed(swaps, restarts)
                | _latency(there, answers, windows, began, ended)
                | spread
            )


def _counted(there: Served, answers: Sequence[Answer], windows: Sequence[Window]) -> dict[str, Any]:
    done = [a for a in answers if not a.error]
    back = [f for f in there.runtime.store.versions.history() if f.kind == "roll_back"]
    return {
        "answers": len(answers),
        "answers_during": sum(any(a.end > b and a.sent < e for b, e in windows) for a in answers),
        "calls": sum(a.calls for a in answers),
        "empty": sum(a.empty for a in done),
        "versions_that_answered": len({a.version for a in done}),
        "rolled_back_by_watch": len(back),
        "engine_restarts": there.runtime.engines.restarts,
    }


def _timed(swaps: Sequence[Swap], restarts: Sequence[Restart]) -> dict[str, Any]:
    """How long it took, and how long a restart takes over that."""
    took = [s.swapped for s in swaps]
    slow = statistics.median(r.seconds for r in restarts)
    flip = max(s.flip_ms for s in took)
    # An engine that is given other weights stands still; for an adapter there is only the flip.
    pause = max(s.paused_ms or s.flip_ms for s in took)
    whole = statistics.median(s.seconds for s in swaps)
    found = {
        "flip_ms_median": round(statistics.median(s.flip_ms for s in took), 2),
        "flip_ms_max": round(flip, 2),
        "swap_ms_median": round(1000 * whole, 1),
        "swap_ms_max": round(1000 * max(s.seconds for s in swaps), 1),
        "restart_over_pause": round(1000 * slow / pause),
        "restart_over_swap": round(slow / whole, 1),
    }
    if any(s.reload_ms for s in took):
        held = max(s.held_ms for s in took)
        found |= {
            "held_ms_max": round(held, 1),
            "held_ms_median": round(statistics.median(s.held_ms for s in took), 1),
            "paused_ms_median": round(statistics.median(s.paused_ms for s in took), 1),
            "reload_ms_median": round(statistics.median(s.reload_ms for s in took), 1),
            "restart_over_held": round(1000 * slow / held) if held else None,
            "pause_over_reload_max": round(max(s.paused_ms / s.reload_ms for s in took), 3),
        }
    return found


def _latency(
    there: Served, answers: Sequence[Answer], windows: Sequence[Window], began: float, ended: float
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, spans in (("gap", gaps_of(answers)), ("first", firsts_of(answers))):
        facts = compared(spans, windows, began, ended)
        for side in ("during", "after", "without"):
            found |= {f"{name}_{key}_{side}": value for key, value in facts.pop(side).items()}
        found |= {f"{name}_{key}": value for key, value in facts.items()}
    for side, lags in (
        ("during", [lag for at, lag in there.lags if any(b <= at <= e for b, e in windows)]),
        ("without", [lag for at, lag in there.lags if not any(b <= at <= e for b, e in windows)]),
    ):
        found[f"loop_late_ms_max_{side}"] = round(1000 * max(lags, default=0.0), 1)
    found["answers_per_second"] = round(
        sum(began <= a.end <= ended for a in answers) / (ended - began), 1
    )
    return found


async def _spread(there: Served) -> dict[str, Any]:
    """Share of the prompts' tokens that each engine got, and of those that it knew already."""
    found = [await m.engine.metrics() for m in there.runtime.engine.members]
    asked = [f.get("vllm:prefix_cache_queries_total", 0.0) for f in found]
    known = [f.get("vllm:prefix_cache_hits_total", 0.0) for f in found]
    return {
        "spread": [round(a / max(sum(asked), 1.0), 3) for a in asked],
        "prefix_known": [round(k / max(a, 1.0), 3) for k, a in zip(known, asked, strict=True)],
    }
