"""A version counts as in use from the moment that it is chosen: nothing unloads it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from agent_app import LIVE, client_of, open_store, reckoner, run, state_on, user

from agent.fake_engine import FakeVllm


@pytest.mark.parametrize("stream", [False, True])
def test_a_version_is_pinned_as_soon_as_it_is_chosen(tmp_path: Path, stream: bool) -> None:
    """Looked at as soon as anything else may run: that is when a swap could let go of it."""
    seen: list[set[str]] = []

    async def work() -> int:
        def route(thread: str) -> str:
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: seen.append(state.agent.pinned()))
            return LIVE

        fake = FakeVllm(reckoner, served_name=LIVE)
        state = replace(state_on(fake, store), route=route)
        body = {"model": "live", "messages": user("1 + 1"), "stream": stream}
        async with client_of(state) as client:
            reply = await client.post("/v1/chat/completions", json=body)
        assert state.agent.pinned() == set()
        return reply.status_code

    with open_store(tmp_path) as store:
        assert run(work()) == 200
    assert seen == [{LIVE}]
