"""`perennial bench agent`: what the agent costs beside the model, and how many it can talk to.

Each question is answered in four ways on one engine, in turns and in an order that changes: by the
agent, by the agent over HTTP as it is deployed, by LangChain's `create_agent`, and by the bare
requests that its answer takes. What a way takes beyond these is its overhead, told per call of the
model. Then hundreds of streams are held open, and threads kept. The aims are told with what was
found; exit code 1 when one does not hold. Called by adapt.commands.bench.
"""

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapt.bench import Progress
from adapt.bench.agent_figures import (
    DEPLOYED,
    DIRECT,
    OURS,
    THEIRS,
    Turn,
    interval,
    median,
    over,
    rows,
)
from adapt.bench.agent_sides import CreateAgent, Deployed, Direct, Ours, Side, Took
from adapt.bench.agent_streams import hold, hold_fake
from adapt.bench.agent_threads import keep_threads
from adapt.bench.swap_served import questions, served
from tools.registry import Registry

SECONDS = 100.0
"""Asked in turns for so long."""
LEAST = 2
"""Turns, however short the time."""
QUESTIONS = 12
"""Half of them take a call of a tool, half none."""
STREAMS = 200
HOLD_S = 12.0
THREADS = 300
OVER_MS = 5.0
"""Most that the agent may take per call of the model, in the median."""


def run(progress: Progress, minutes: float | None = None, agents: int = STREAMS) -> dict[str, Any]:
    """All of it, in six minutes on two cores; `minutes` is for the questions alone (1.7).
    ConfigError where langchain is missing."""
    return asyncio.run(_run(progress, 60 * minutes if minutes else SECONDS, agents))


async def _run(progress: Progress, seconds: float, streams: int) -> dict[str, Any]:
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as name:
        folder = Path(name)
        for part in ("real", "held", "fake", "threads"):
            (folder / part).mkdir()
        async with served(folder / "real", 1, progress) as there:
            model = there.runtime.live()
            socket = there.runtime.engine.members[0].engine.socket
            asked = [q for place, q in enumerate(questions()) if place % 3 != 1][:QUESTIONS]
            turns = await compare(
                socket, model, there.registry, there.url, asked, seconds, progress
            )
            held = {"engine": "vLLM, pico"} | await hold(
                there.url, streams, HOLD_S, folder / "held", questions(), progress
            )
        paced = await hold_fake(streams, HOLD_S, folder / "fake", progress)
        kept = await keep_threads(THREADS, folder / "threads", progress)
    return {
        "benchmark": "agent", "load_before": round(load, 1), "cores": os.cpu_count(),
        "aims": aims(turns, [held, paced]), "same_answers": same_answers(turns),
        "questions": len(asked), "rows": rows(turns),
        "streams": [held, paced], "threads": kept,
    }  # fmt: skip


async def compare(
    socket: Path, model: str, registry: Registry, url: str, asked: Sequence[str], seconds: float,
    progress: Progress,
) -> list[Turn]:  # fmt: skip
    """Questions, whole and streamed, in all ways, for `seconds`; each once before, which is not
    counted."""
    direct = Direct(socket)
    sides: dict[str, Side] = {
        DIRECT: direct, OURS: Ours(socket, model, registry), DEPLOYED: Deployed(url),
        THEIRS: CreateAgent(socket, model, registry),
    }  # fmt: skip
    turns: list[Turn] = []
    order = random.Random("agent")
    cases = [(question, stream) for question in asked for stream in (False, True)]
    try:
        for question, stream in cases:
            progress(f"once through: {question}")
            ours = await sides[OURS].ask(question, stream=stream)
            direct.bodies[question, stream] = [span.body for span in ours.spans]
            for way in (DIRECT, DEPLOYED, THEIRS):
                await sides[way].ask(question, stream=stream)
        began = time.monotonic()
        while (left := seconds - (time.monotonic() - began)) > 0 or len(turns) < LEAST:
            progress(f"asking in turns, {max(left, 0.0):.0f} s more")
            # In pairs, whole and streamed, so that neither is asked at another time of the machine.
            question = order.choice(asked)
            for stream in (False, True):
                took: dict[str, Took] = {}
                for way in order.sample(list(sides), len(sides)):
                    took[way] = await sides[way].ask(question, stream=stream)
                calls = len(direct.bodies[question, stream])
                turns.append(Turn(question, stream, calls, took))
    finally:
        for side in sides.values():
            await side.close()
    return turns


def same_answers(turns: Sequence[Turn]) -> float:
    """Share of the turns in which all ways gave the same text in the same number of calls: what is
    compared is then the same work."""
    same = 0
    for turn in turns:
        texts = {took.text.strip() for took in turn.took.values()}
        calls = {len(turn.took[way].spans) for way in (OURS, THEIRS)} | {turn.calls}
        same += len(texts) == len(calls) == 1
    return same / len(turns)


def aims(turns: Sequence[Turn], held: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is asked for, what was found, and whether it holds."""
    made: list[dict[str, Any]] = []
    for stream in (False, True):
        chosen = [turn for turn in turns if turn.stream == stream]
        kind = "streamed" if stream else "whole"
        for way in (OURS, DEPLOYED):
            samples = over(chosen, way)
            made.append(_aim(f"{way}, {kind}: ms over a direct call", OVER_MS, samples))
        samples = over(chosen, OURS, THEIRS)
        made.append(_aim(f"{OURS}, {kind}: ms over create_agent", 0.0, samples))
    for one in held:
        # vLLM on two cores is asked by all at once and answers some at a time; of the fake engine,
        # whose words are slow, all streams have begun and none has ended at one moment.
        fake = one["engine"] == "fake"
        most = one["open_at_once" if fake else "asked_at_once"]
        made.append(
            {
                "aim": f"streams, engine {one['engine']}: at once, without an error",
                "wanted": f"{one['streams']}", "found": most, "failed": one["failed"],
                "holds": most >= one["streams"] and not one["failed"],
            }
        )  # fmt: skip
    return made


def _aim(name: str, most: float, samples: Any) -> dict[str, Any]:
    middle = median(samples)
    found = {"found": round(middle, 3), "interval_95": interval(samples, np.median)}
    return {"aim": name, "wanted": f"at most {most:g}", **found, "holds": middle <= most}
