"""`perennial documents withdraw`: shows what learned from a document, and has it made anew."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.prompt import Confirm

from adapt.commands import Options
from adapt.commands.update import follow
from adapt.running import find_running
from adapt.runtime import open_runtime
from adapt.show import CycleView, state, stderr, table
from adapt.withdraw import affected, mark, proof_of, rebuild_due
from adapt.worker_run import run_alone
from agent.config import Settings, home_of
from store import Store
from store.records import Cycle, CycleStage, CycleState


def withdraw(options: Options, digests: Sequence[str], yes: bool) -> int:
    """Withdraw documents for ever, and rebuild the line where the live version learned from them.

    Without `yes` a person is asked, or, where there is no terminal, nothing is changed. 1 when it
    was not done, or when the rebuilt line did not go live.
    """
    settings = options.settings()
    with options.read_store() as store:
        digests = [store.documents.find(digest) for digest in digests]
        found = affected(store, digests)
    shown = _shown(found)
    if not (yes or _agreed(options, shown)):
        options.put(found | {"withdrawn": [], "cycle": None, "proof": None}, shown)
        stderr().print("nothing was changed; --yes does it without a question")
        return 1
    try:
        done, cycle, waits = asyncio.run(_withdraw(settings, digests))
    except KeyboardInterrupt:
        stderr().print("the documents are withdrawn; the next `perennial update` goes on")
        raise
    proof = proof_of(cycle) if cycle else None
    value = found | {
        "withdrawn": done,
        "cycle": cycle.model_dump(mode="json", exclude={"settings"}) if cycle else None,
        "proof": proof,
        "waits": waits,
    }
    options.put(value, Group(shown, _told(cycle, waits)))
    if cycle is not None:
        return 0 if cycle.state is CycleState.PROMOTED else 1
    return 1 if waits else 0


def _agreed(options: Options, shown: Any) -> bool:
    if options.as_json or not sys.stdin.isatty():
        return False
    stderr().print(shown, highlight=False)
    return Confirm.ask("Withdraw for ever?", console=stderr(), default=False)


def _shown(found: dict[str, Any]) -> Group:
    counts = f"{found['examples']} examples, {len(found['updates'])} updates"
    parts: list[Any] = [table(found["documents"], "title", "source", "address", "state")]
    parts.append(f"{counts} and {len(found['versions'])} versions learned from it")
    if found["versions"]:
        parts.append(table(found["versions"], "name", "state"))
    return Group(*parts)


def _told(cycle: Cycle | None, waits: str) -> str:
    if waits:
        return f"withdrawn; the line is made anew by the next update: {waits}"
    if cycle is None:
        return "withdrawn; the live version never learned from it"
    given = [s.outputs.get("words") for s in cycle.stages if s.outputs]
    words = cycle.error or next((w for w in reversed(given) if w), "")
    return f"withdrawn; cycle {cycle.number} {state(cycle.state.value)}  {words}"


async def _withdraw(
    settings: Settings, digests: Sequence[str]
) -> tuple[list[str], Cycle | None, str]:
    """What was withdrawn, the cycle that made the line anew, and why there is none yet."""
    running = find_running(settings)
    with CycleView() as view:
        if running is not None:
            said = await running.withdraw(digests)
            number = said["cycle"]
            cycle = None if number is None else await follow(running, settings, view, number)
            return said["withdrawn"], cycle, said["waits"]
        with Store.open(home_of(settings)) as store:
            done = mark(store, digests)
            if not rebuild_due(store):
                return done, None, ""
        async with open_runtime(settings, view.engine) as runtime, runtime.cycle_lock:
            view.still()
            cycle = await run_alone(runtime, view.notify)
            if not _rebuilt(cycle) and rebuild_due(runtime.store):
                # It was one that had been interrupted, begun before.
                cycle = await run_alone(runtime, view.notify)
            return done, cycle, ""


def _rebuilt(cycle: Cycle) -> bool:
    return "withdrawn" in (cycle.gave(CycleStage.GATHER) or {})
