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
    own,
    rows,
)
from adapt.bench.agent_sides import CreateAgent, Deployed, Direct, Ours, Side, Took
from adapt.bench.agent_streams import hold, hold_fake
from adapt.bench.agent_threads import keep_threads
from adapt.bench.swap_served import questions, served
from adapt.evals.suites import general_suite
from store.errors import StageError
from tools.registry import Registry

SECONDS = 100.0
"""Asked in turns for so long."""
LEAST = 2
"""Turns, however short the time."""
EACH = 6
"""Questions of each kind: with a call of a tool, and without one."""
FEWEST = 4
"""Questions on which all ways agree; fewer compare nothing."""
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
            turns = await compare(
                socket, model, there.registry, there.url, candidates(), seconds, progress
            )
            held = {"engine": "vLLM, pico"} | await hold(
                there.url, streams, HOLD_S, folder / "held", questions(), progress
            )
        paced = await hold_fake(streams, HOLD_S, folder / "fake", progress)
        kept = await keep_threads(THREADS, folder / "threads", progress)
    return {
        "benchmark": "agent", "load_before": round(load, 1), "cores": os.cpu_count(),
        "aims": aims(turns, [held, paced]), "same_answers": same_answers(turns),
        "questions": len({turn.question for turn in turns}), "rows": rows(turns),
        "streams": [held, paced], "threads": kept,
    }  # fmt: skip


def candidates() -> list[str]:
    """Questions for the embedded model: tasks of one call, and small ones without."""
    general = [item.messages[-1].content for item in general_suite(1, EACH).items]
    return [*questions()[: 3 * EACH : 3], *general]


async def compare(
    socket: Path, model: str, registry: Registry, url: str, asked: Sequence[str], seconds: float,
    progress: Progress,
) -> list[Turn]:  # fmt: skip
    """Questions, whole and streamed, in all ways, for `seconds`.

    Each is asked once before, which is not counted. One that is answered otherwise by one of the
    ways, as when the model calls a tool that there is not and each has its own words for that, is
    left out: other prompts are other work. StageError when too few are left.
    """
    direct = Direct(socket)
    sides: dict[str, Side] = {
        DIRECT: direct, OURS: Ours(socket, model, registry), DEPLOYED: Deployed(url),
        THEIRS: CreateAgent(socket, model, registry),
    }  # fmt: skip
    turns: list[Turn] = []
    order = random.Random("agent")
    try:
        alike = [question for question in asked if await _alike(sides, direct, question, progress)]
        if len(alike) < min(FEWEST, len(asked)):
            raise StageError(
                f"the ways agree on {len(alike)} of {len(asked)} questions",
                "do they send the engine the same prompts?",
            )
        began = time.monotonic()
        while (left := seconds - (time.monotonic() - began)) > 0 or len(turns) < LEAST:
            progress(f"asking in turns, {max(left, 0.0):.0f} s more")
            # In pairs, whole and streamed, so that neither is asked at another time of the machine.
            question = order.choice(alike)
            for stream in (False, True):
                turns.append(await _turn(sides, direct, question, stream, order))
    finally:
        for side in sides.values():
            await side.close()
    return turns


async def _turn(
    sides: dict[str, Side], direct: Direct, question: str, stream: bool, order: random.Random
) -> Turn:
    took: dict[str, Took] = {}
    for way in order.sample(list(sides), len(sides)):
        took[way] = await sides[way].ask(question, stream=stream)
    return Turn(question, stream, len(direct.bodies[question, stream]), took)


async def _alike(sides: dict[str, Side], direct: Direct, question: str, progress: Progress) -> bool:
    """Ask it once in all ways, after our agent has shown which requests that takes."""
    progress(f"once through: {question}")
    alike = True
    for stream in (False, True):
        ours = await sides[OURS].ask(question, stream=stream)
        direct.bodies[question, stream] = [span.body for span in ours.spans]
        turn = await _turn(sides, direct, question, stream, random.Random(0))
        alike = alike and _same(turn)
    return alike


def same_answers(turns: Sequence[Turn]) -> float:
    """Share of the turns in which all ways gave the same text in the same number of calls: what is
    compared is then the same work."""
    return sum(map(_same, turns)) / len(turns)


def _same(turn: Turn) -> bool:
    texts = {took.text.strip() for took in turn.took.values()}
    calls = {len(turn.took[way].spans) for way in (OURS, THEIRS)} | {turn.calls}
    return len(texts) == len(calls) == 1


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
        # And outside its requests alone: the same request to the engine takes longer or shorter by
        # more than is asked for here.
        ours, theirs = own(chosen, OURS), own(chosen, THEIRS)
        made.append(_aim(f"{OURS}, {kind}: ms of its own", OVER_MS, ours))
        made.append(_aim(f"{OURS}, {kind}: ms over create_agent's", 0.0, ours - theirs))
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
