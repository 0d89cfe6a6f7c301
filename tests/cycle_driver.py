"""Runs one update cycle in a process of its own, and can kill itself in the middle of a stage.

`python cycle_driver.py HOME MODEL INBOX [STAGE]`: the engine is the shipped fake (every version but
the base knows the right answers), all else is real: store, Chroma, attribution, training,
composition, gate, swap. With STAGE the process dies by SIGKILL inside that stage. Prints the cycle.
"""

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from adapt.base import find_model
from adapt.cycle import run_cycle
from adapt.events import Event
from adapt.runtime import Runtime, ensure_base
from adapt.swap import Swapper
from agent.config import load_settings
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from agent.fleet import Fleet
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import Version, utc_now
from store.source_records import Source


def build_runtime(home: Home, store: Store, model: Path, inbox: Path) -> tuple[Runtime, FakeVllm]:
    """A runtime over the fake engine; the inbox is its only source."""
    settings = load_settings(home.path, model=str(model), update={
        "epochs": 2, "learning_rate": 1e-3, "batch_tokens": 2048, "quota_percent": 10.0,
    })  # fmt: skip
    base = find_model(str(model), home.path / "digests")
    version = ensure_base(store, base)
    fake = FakeVllm(answer=lambda *_: "", served_name=version.name)
    fleet = Fleet.of(Engine(Path("-"), transport=fake), version.name)
    runtime = Runtime(settings, home, store, base, fleet, Swapper(store, fleet))
    known: dict[int, dict[str, Any]] = {}
    fake.answer = lambda name, messages, tools: _answer(runtime, known, name, messages)
    fake.logprobs = lambda name, prompt: _logprobs(store.versions.get(name), prompt)
    if not store.sources.list():
        store.sources.add(Source(name="inbox", location=str(inbox), added_at=utc_now()))
    return runtime, fake


def _answer(
    runtime: Runtime, known: dict[int, dict[str, Any]], name: str, messages: list[dict[str, Any]]
) -> Any:
    """Right for every version but the base; the store's held-out examples say what is right."""
    if name == runtime.base.version_name:
        return "I do not know."
    check = _checks(runtime, known).get(messages[-1]["content"])
    if check is None:
        return "I do not know."
    if check["kind"] == "call":
        return [{"name": check["name"], "arguments": check["arguments"]}]
    return check["values"][0]


def _checks(runtime: Runtime, known: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """What is right, by question; read once a cycle, which asks thousands of them."""
    number = next((cycle.number for cycle in runtime.store.cycles.newest_first()), 0)
    if not known.get(number):
        examples = runtime.store.examples
        held_out = [e for n in range(number, 0, -1) for e in examples.of_cycle(n, "held_out")]
        known[number] = {e.messages[-1].content: e.check for e in held_out if e.check}
    return known[number]


def _logprobs(version: Version, prompt: Any) -> dict[int, float]:
    """What the version's own probe says: an engine that serves the right bytes."""
    assert version.probe is not None
    place = version.probe.prompts.index(prompt)
    return dict(zip(version.probe.token_ids[place], version.probe.logprobs[place], strict=True))


def killer(stage: str | None) -> Any:
    """A watcher that kills the process inside a stage: at its first progress, or shortly after."""

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: Event) -> None:
        if event.stage.value != stage:
            return
        trains = stage != "implant" or event.text.startswith("loss")
        if event.kind == "progress" and event.done and trains:
            kill()
        if event.kind == "started" and stage in ("gather", "synthesize", "gate", "swap"):
            threading.Timer(0.004, kill).start()
        if event.kind == "done":
            # The stage was quicker than the timer: dying before the next one is the same to it.
            kill()

    return watch


async def main() -> None:
    """One cycle, or a part of one."""
    home, model, inbox = (Path(a) for a in sys.argv[1:4])
    place = Home(home)
    place.create()
    with place.lock(), Store.open(place, HashEmbedder()) as store:
        runtime, _ = build_runtime(place, store, model, inbox)
        cycle = await run_cycle(runtime, killer(sys.argv[4] if len(sys.argv) > 4 else None))
        await runtime.engine.close()
        sys.stdout.write(cycle.model_dump_json() + "\n")


if __name__ == "__main__":
    asyncio.run(main())
