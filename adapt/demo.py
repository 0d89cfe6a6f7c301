"""`perennial demo`: the main job once, on the embedded model, with everything real.

An agent that does not know some APIs; their documentation in a folder; one update cycle; the swap
under load; the agent knows them; one roll back. Prints what it measures and ends with one JSON
object. Called by the command line.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from adapt.ahead import prepare
from adapt.cycle import run_cycle
from adapt.demo_load import Load
from adapt.demo_world import CATEGORY, drop_documents, fact_suite, task_suite
from adapt.evals.items import Suite
from adapt.evals.runner import run_suite
from adapt.evals.suites import catalogue_of
from adapt.events import Event, Notify
from adapt.runtime import Runtime, open_runtime
from adapt.serving import serving
from adapt.show import CycleView, one_line
from agent.api.app import create_app
from agent.api.state import AppState
from agent.config import load_settings
from agent.runs import Agent
from store.evidence import EvalReport
from store.records import CycleStage, CycleState, utc_now
from store.source_records import Source
from tools.registry import Registry
from tools.virtual import Sessions, virtual_tools

REQUESTS = 240
"""Answers that the load around the swap waits for; at least half of them after it."""


async def demo(home: Path | None, as_json: bool) -> int:
    """Run the demo in `home`, or in a folder that is removed at the end. 0 when all of it held."""
    console = Console(stderr=as_json, highlight=False)
    if home is not None:
        return await _demo(home, console)
    with tempfile.TemporaryDirectory(prefix="perennial-demo-") as folder:
        return await _demo(Path(folder), console)


async def _demo(home: Path, console: Console) -> int:
    began = time.monotonic()
    settings = load_settings(home, model="pico", agent={"tools_shown": "names"})
    console.print("[bold]Perennial demo[/]: pico, 2.8 million parameters, served by vLLM")
    with console.status("starting vLLM") as status:

        def starting(p: Any) -> None:
            status.update(one_line(f"starting vLLM, {p.elapsed_s:.0f} s: {p.step}"))

        async with open_runtime(settings, starting) as runtime:
            console.print(
                f"vLLM is up after {time.monotonic() - began:.0f} s; live: {runtime.live()}"
            )
            status.stop()
            result = await _run(runtime, console)
    result["seconds"] = round(time.monotonic() - began, 1)
    # The one line a script reads: on standard output whatever the console does.
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if result["rolled_back"] and not result["failed_requests"] else 1


async def _run(runtime: Runtime, console: Console) -> dict[str, Any]:
    tasks, facts = task_suite(), fact_suite()
    before, _ = await asyncio.gather(_ask(runtime, console, tasks, facts), prepare(runtime))
    async with _served(runtime, tasks, facts) as (load, agent):
        folder = runtime.home.path / "inbox"
        runtime.store.sources.add(Source(name="inbox", location=str(folder), added_at=utc_now()))
        dropped = time.monotonic()
        files = drop_documents(folder)
        console.print(f"dropped {files} documents into a folder: the {CATEGORY} APIs and articles")
        moments: dict[str, float] = {}
        with CycleView(console) as view:
            cycle = await run_cycle(runtime, _watch(view.notify, load, moments))
        await load.until(max(REQUESTS, len(load.answered) + REQUESTS // 2), 60.0)
        await load.stop()
        for failure in load.failed[:3]:
            console.print(f"[red]a request failed[/]: {escape(failure)}")
        outputs = {s.stage: s.outputs or {} for s in cycle.stages}
        if cycle.state is not CycleState.PROMOTED:
            why = cycle.error or outputs.get(CycleStage.GATE, {}).get("words", "")
            console.print(f"[red]the update was {cycle.state}[/]: {escape(why)}")
        after = await _ask(runtime, console, tasks, facts)
        rolled_back = await _roll_back(runtime, console, before, tasks, facts)
        mixed = agent.mixed_runs
    swap = outputs.get(CycleStage.SWAP, {})
    pairs = outputs.get(CycleStage.EVALUATE, {}).get("reports", {})

    def mean(suite: str, side: str) -> float | None:
        return round(runtime.store.reports.get_eval(pairs[suite][side]).mean, 4) if pairs else None

    return {
        "tasks": len(tasks.items),
        "solved_before": round(before[0].mean, 4),
        "solved_after": round(after[0].mean, 4),
        "facts": len(facts.items),
        "facts_before": round(before[1].mean, 4),
        "facts_after": round(after[1].mean, 4),
        **{
            f"{name}_{when}": mean(name, side)
            for name in ("kept", "general", "tools")
            for when, side in (("before", "live"), ("after", "candidate"))
        },
        "verdict": outputs.get(CycleStage.GATE, {}).get("verdict"),
        "requests_during_swap": len(load.answered) + len(load.failed),
        "requests_by_version": _by_version(load),
        "failed_requests": len(load.failed),
        "mixed_version_runs": mixed,
        "swap_ms": swap.get("swap_ms"),
        "rolled_back": rolled_back,
        "cycle_seconds": round(moments.get("live", time.monotonic()) - dropped, 1),
    }


def _by_version(load: Load) -> dict[str, int]:
    names = [version for _, version in load.answered]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def _watch(notify: Notify, load: Load, moments: dict[str, float]) -> Notify:
    """Start the load while the candidate is still being asked, so that it spans the swap."""

    def watch(event: Event) -> None:
        notify(event)
        near_end = event.total and event.done / event.total > 0.95
        if event.stage is CycleStage.EVALUATE and event.kind == "progress" and near_end:
            load.start()
        if event.stage is CycleStage.SWAP and event.kind == "done":
            moments["live"] = time.monotonic()

    return watch


@asynccontextmanager
async def _served(
    runtime: Runtime, tasks: Suite, facts: Suite
) -> AsyncIterator[tuple[Load, Agent]]:
    """The assistant over HTTP, and clients that know what to ask it."""
    agent = Agent(runtime.engine, runtime.settings.agent)
    runtime.swap.pinned = agent.pinned
    catalogue = catalogue_of(0)
    functions = [a.function for t in catalogue.category(CATEGORY)[:1] for a in t.apis]
    registry = Registry(virtual_tools(catalogue, Sessions(catalogue), functions))
    app = create_app(
        AppState(
            agent=agent,
            store=runtime.store,
            engine=runtime.engine,
            settings=runtime.settings,
            registry=lambda _: registry,
            live=runtime.live,
        )
    )
    questions = [i.messages[-1].content for i in (*tasks.items, *facts.items)]
    async with serving(app, "127.0.0.1", 0) as url:
        load = Load(url, questions)
        try:
            yield load, agent
        finally:
            await load.stop()


async def _ask(
    runtime: Runtime, console: Console, tasks: Suite, facts: Suite
) -> tuple[EvalReport, EvalReport]:
    """Both suites to the live version."""
    name = runtime.live()
    reports = []
    for suite in (tasks, facts):
        with console.status(f"asking {name}: {suite.name}"):
            report = await run_suite(runtime.engine, suite, name, settings=runtime.settings)
        right = sum(o.score for o in report.outcomes)
        console.print(f"{name} {suite.name}: {right:.0f} of {len(report.outcomes)} right")
        reports.append(report)
    return reports[0], reports[1]


async def _roll_back(
    runtime: Runtime,
    console: Console,
    before: tuple[EvalReport, EvalReport],
    tasks: Suite,
    facts: Suite,
) -> bool:
    """Go back, ask again, and see whether the first answers are back."""
    if runtime.live() == before[0].version:
        return False
    swapped = await runtime.swap.roll_back()
    console.print(
        f"rolled back from {swapped.previous} to {swapped.live} in {swapped.milliseconds:.0f} ms"
    )
    again = await _ask(runtime, console, tasks, facts)
    same = [
        a.answer == b.answer
        for old, new in zip(before, again, strict=True)
        for a, b in zip(old.outcomes, new.outcomes, strict=True)
    ]
    console.print(f"{sum(same)} of {len(same)} answers are the old ones, letter for letter")
    return swapped.live == before[0].version and all(same)
