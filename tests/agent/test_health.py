"""/health and /ready tell the truth: about the engine, the store, the live version, and waiting."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from agent_app import LIVE, NEXT, client_of, reckoner, run, state_on

from agent.api.state import AppState
from agent.fake_engine import FakeVllm
from store.errors import EngineUnavailable
from store.store import Store


@pytest.fixture
def fake() -> FakeVllm:
    return FakeVllm(reckoner, served_name=LIVE)


def look(state: AppState, path: str) -> tuple[int, Any]:
    """Status and body, asked from elsewhere and without a key."""

    async def work() -> httpx.Response:
        async with client_of(state, "203.0.113.5") as client:
            return await client.get(path)

    response = run(work())
    return response.status_code, response.json()


def test_all_is_well(store: Store, fake: FakeVllm) -> None:
    state = state_on(fake, store, api_key="secret")
    assert look(state, "/health") == (200, {"status": "ok", "engine": True, "version": LIVE})
    assert look(state, "/ready") == (200, {"status": "ready", "missing": []})


def test_an_engine_that_is_away_is_neither(store: Store, fake: FakeVllm) -> None:
    fake.down = True
    state = state_on(fake, store)
    assert look(state, "/health")[0] == 503
    status, told = look(state, "/ready")
    assert (status, told["missing"]) == (503, ["no engine answers"])


def test_an_engine_without_the_live_version_is_not_ready(store: Store, fake: FakeVllm) -> None:
    """It answers, and every question would be refused: started anew it has lost its adapters."""
    state = state_on(fake, store, live=lambda: NEXT)
    status, told = look(state, "/ready")
    assert (status, told["missing"]) == (503, ["no engine holds the live version"])


def test_no_live_version_is_neither(store: Store, fake: FakeVllm) -> None:
    def none() -> str:
        raise EngineUnavailable("no version is live yet", "wait for the first start to finish")

    state = state_on(fake, store, live=none)
    assert look(state, "/health") == (
        503, {"status": "unavailable", "engine": True, "version": None},
    )  # fmt: skip
    assert look(state, "/ready")[0] == 503


def test_who_would_have_to_wait_is_told_so(store: Store, fake: FakeVllm) -> None:
    """The server is healthy: nobody must start it anew while weights are replaced."""
    state = replace(state_on(fake, store), waits=lambda: "weights are being replaced")
    assert look(state, "/health")[0] == 200
    assert look(state, "/ready") == (
        503, {"status": "unavailable", "missing": ["weights are being replaced"]},
    )  # fmt: skip
