"""Runs that stop before their end, and go on: at breakpoints and after a restart."""

from pathlib import Path
from typing import Any

from agent_app import LIVE, NEXT, engine_on, reckoner, registry_of, run, user

from agent.config_sections import AgentSettings
from agent.fake_engine import FakeVllm
from agent.options import Options
from agent.runs import Agent
from agent.state import Done, Part, Resume, RunResult, Waiting
from agent.threads import open_threads
from store.records import Episode

STOPS = Options(stop_before=["tools"], every_step=True)


def agent_on(fake: FakeVllm, saver: Any, kept: list[Episode] | None = None) -> Agent:
    add = (kept if kept is not None else []).append
    return Agent(engine_on(fake), AgentSettings(), saver, add)


def test_a_run_that_stopped_goes_on_after_a_restart_on_its_own_version(tmp_path: Path) -> None:
    fake = FakeVllm(reckoner, adapters={LIVE: "/a", NEXT: "/b"})
    kept: list[Episode] = []

    async def stop() -> RunResult:
        async with open_threads(tmp_path / "threads.db") as saver:
            agent = agent_on(fake, saver, kept)
            return await agent.run(user("6*7"), registry_of(), NEXT, "t", options=STOPS)

    async def go_on() -> tuple[Waiting | None, RunResult, Waiting | None]:
        async with open_threads(tmp_path / "threads.db") as saver:
            agent = agent_on(fake, saver, kept)
            waiting = await agent.waiting("t")
            assert waiting is not None
            result = await agent.run(Resume(), registry_of(), waiting.version, "t")
            return waiting, result, await agent.waiting("t")

    stopped = run(stop())
    assert (stopped.answer, stopped.stopped, stopped.steps) == ("", True, 1)
    assert kept == []
    waiting, result, after = run(go_on())
    assert waiting == Waiting(NEXT, ())
    assert (result.answer, result.models) == (f'{NEXT} says {{"result": 42}}', (NEXT,))
    assert after is None
    assert [e.id for e in kept] == [result.id]


def test_a_new_question_gives_up_what_a_thread_was_waiting_for(tmp_path: Path) -> None:
    fake = FakeVllm(reckoner)

    async def work() -> RunResult:
        async with open_threads(tmp_path / "threads.db") as saver:
            agent = agent_on(fake, saver)
            await agent.run(user("6*7"), registry_of(), "base", "t", options=STOPS)
            result = await agent.run(user("1+1"), registry_of(), "base", "t")
            assert await agent.waiting("t") is None
            return result

    roles = [m.role for m in run(work()).messages]
    assert roles == ["system", "user", "assistant", "tool", "assistant"]


def test_a_stream_yields_langgraphs_own_parts_to_those_who_ask(tmp_path: Path) -> None:
    async def work() -> list[Any]:
        async with open_threads(tmp_path / "threads.db") as saver:
            agent = agent_on(FakeVllm(reckoner), saver)
            options = Options(modes=("updates",), run_id="r1")
            stream = agent.stream(user("6*7"), registry_of(), "base", "t", options=options)
            return [event async for event in stream]

    events = run(work())
    parts = [event for event in events if isinstance(event, Part)]
    assert [next(iter(part.data)) for part in parts] == ["model", "tools", "model"]
    assert {part.mode for part in parts} == {"updates"}
    assert isinstance(events[-1], Done)
    assert events[-1].result.id == "r1"
