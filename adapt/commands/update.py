"""`perennial update`: one cycle now, by the running server or in this process."""

import asyncio

from adapt.commands import Options
from adapt.events import Event
from adapt.running import Running, find_running
from adapt.runtime import open_runtime
from adapt.show import CycleView, state, stderr
from adapt.worker_run import run_alone
from agent.config import Settings, home_of
from store import Store
from store.errors import EngineUnavailable, NotFoundError
from store.records import Cycle, CycleStage, CycleState

POLL_S = 0.5
_WELL = {CycleState.PROMOTED, CycleState.SKIPPED}


def update(options: Options) -> int:
    """Run a cycle and show it. 1 when it was rejected, abstained or failed."""
    settings = options.settings()
    try:
        cycle = asyncio.run(_update(settings))
    except KeyboardInterrupt:
        if find_running(settings) is not None:
            stderr().print(
                "no longer watched; the server goes on with the update: perennial cycles"
            )
        else:
            stderr().print("stopped; what is done is kept, the next `perennial update` goes on")
        raise
    words = next((s.outputs.get("words") for s in reversed(cycle.stages) if s.outputs), None)
    said = cycle.error or words or ""
    if cycle.state is CycleState.SKIPPED:
        said = "nothing new to learn"
    options.put(
        cycle.model_dump(mode="json", exclude={"settings"}),
        f"cycle {cycle.number} {state(cycle.state.value)}  {said}",
    )
    return 0 if cycle.state in _WELL else 1


async def _update(settings: Settings) -> Cycle:
    running = find_running(settings)
    with CycleView() as view:
        if running is not None:
            return await follow(running, settings, view, await running.update())
        async with open_runtime(settings, view.engine) as runtime, runtime.cycle_lock:
            view.still()
            return await run_alone(runtime, view.notify)


async def follow(running: Running, settings: Settings, view: CycleView, number: int) -> Cycle:
    """Show a cycle that the server runs, from its records and its status, to its end."""
    home = home_of(settings)
    with Store.open(home) as store:
        shown: set[tuple[CycleStage, str]] = set()
        while True:
            cycle = _cycle(store, number)
            for event in _events(cycle) if cycle else ():
                if (event.stage, event.kind) not in shown:
                    shown.add((event.stage, event.kind))
                    view.notify(event)
            if cycle is not None and cycle.state is not CycleState.RUNNING:
                return cycle
            if home.locked_by() is None:
                raise EngineUnavailable(
                    f"the server stopped during cycle {number}",
                    "the next `perennial up` or `perennial update` goes on with it",
                )
            await _show_progress(running, view)
            await asyncio.sleep(POLL_S)


async def _show_progress(running: Running, view: CycleView) -> None:
    """How far the present stage is, as far as the server tells."""
    try:
        progress = (await running.status())["progress"]
    except EngineUnavailable:
        # Too busy to answer, or stopping: the records and the lock tell what matters.
        return
    if progress:
        view.notify(Event(CycleStage(progress.pop("stage")), "progress", **progress))


def _cycle(store: Store, number: int) -> Cycle | None:
    try:
        return store.cycles.get(number)
    except NotFoundError:
        # The server has promised the cycle and is about to record it.
        return None


def _events(cycle: Cycle) -> list[Event]:
    """What the records say as events."""
    events: list[Event] = []
    for s in cycle.stages:
        events.append(Event(s.stage, "started"))
        if s.outputs is not None:
            events.append(Event(s.stage, "done", facts=s.outputs, seconds=s.seconds or 0.0))
        elif s.error is not None:
            events.append(Event(s.stage, "failed", text=s.error))
    return events
