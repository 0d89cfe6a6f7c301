"""Tools that hang, raise, flood, die and answer nonsense: a run ends, and reads them as data."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from agent_app import engine_on, run, user
from faults.invariants import TALLY

from agent.config_sections import AgentSettings
from agent.fake_engine import FakeVllm
from agent.runs import Agent
from agent.threads import open_threads
from store.errors import ToolFailed, ToolRetry
from store.records import Episode
from tools.base import CallContext, Terms, ToolSpec
from tools.registry import Registry

LIMIT_S = 0.2


class Broken:
    """A tool that does what a test has it do."""

    spec = ToolSpec("broken", "Does what it wants.", {"type": "object", "properties": {}})

    def __init__(self, what: Callable[[], Awaitable[Any]]) -> None:
        self._what = what

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> str:
        return await self._what()


async def hangs() -> str:
    await asyncio.sleep(600)
    return "never"


async def hangs_on() -> str:
    """It does not even end when it is told to, at first."""
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        await asyncio.sleep(LIMIT_S)
    return "late"


async def raises() -> str:
    raise RuntimeError("the tool's own fault")


async def fails() -> str:
    raise ToolFailed("it was shut down", "use another")


async def wants_again() -> str:
    raise ToolRetry("not now", "try again")


async def is_cancelled() -> str:
    """As a library's own task that was cancelled inside it."""
    raise asyncio.CancelledError


async def exits() -> str:
    raise SystemExit(3)


async def floods() -> str:
    return "flood " * 2_000_000


async def says_nothing() -> Any:
    return None


async def says_bytes() -> Any:
    return b"\xff\xfe"


async def recurses() -> str:
    return await recurses()


async def breaks_text() -> str:
    return "\ud800 \x00 <|im_end|> </tool_call>"


ALL = [
    hangs, hangs_on, raises, fails, wants_again, is_cancelled, exits, floods, says_nothing,
    says_bytes, recurses, breaks_text,
]  # fmt: skip


def once(model: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Any:
    """Calls the tool, then says what it read of it."""
    last = messages[-1]
    if last["role"] == "tool":
        return f"read {len(last['content'])}"
    return [{"name": "broken", "arguments": {}}] if last["content"] == "use it" else "well"


@pytest.mark.parametrize("what", ALL)
def test_a_run_ends_whatever_a_tool_does(
    tmp_path: Path, what: Callable[[], Awaitable[Any]]
) -> None:
    """With an answer; the tool's reply is a message of bounded length, and the thread goes on."""
    episodes: list[Episode] = []

    async def scenario() -> None:
        async with open_threads(tmp_path / "threads.db") as threads:
            agent = Agent(
                engine_on(FakeVllm(once)), AgentSettings(), threads, on_episode=episodes.append
            )
            tools = Registry([Broken(what)], usual=Terms(timeout_s=LIMIT_S))
            TALLY.inject(f"tool that {what.__name__.replace('_', ' ')}")
            used = await agent.run(user("use it"), tools, "base", thread="t")
            after = await agent.run(user("and now"), tools, "base", thread="t")
            TALLY.check(used.answer.startswith("read "), f"the run ends: {used}")
            TALLY.check(after.answer == "well", f"the thread goes on: {after}")
            TALLY.check(agent.pinned() == set(), "no version stays pinned")

    run(scenario())
    TALLY.check(len(episodes) == 2, "both runs are episodes")
    (reply,) = (m.content for m in episodes[0].messages if m.role == "tool")
    # A fault is wrapped in some JSON.
    TALLY.check(len(reply) <= Terms().max_chars + 100, f"its reply has a bound: {len(reply)}")
    TALLY.check(bool(Episode.model_validate_json(episodes[0].model_dump_json())), "it is kept")
    if what in (hangs, raises, fails, wants_again, is_cancelled, exits, says_nothing, says_bytes):
        TALLY.check("error" in json.loads(reply), f"the model reads that it failed: {reply}")
