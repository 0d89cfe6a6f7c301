"""Keys, scopes, tenants and limits, as clients meet them."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from agent_app import LIVE, NEXT, client_of, reckoner, run, state_on, user
from langgraph.checkpoint.memory import InMemorySaver

from agent.api.state import AppState
from agent.api.usage import Usage
from agent.fake_engine import FakeVllm
from store.keys import Scope
from store.store import Store


def fake(**changes: Any) -> FakeVllm:
    return FakeVllm(reckoner, served_name=LIVE, adapters={NEXT: "/adapter"}, **changes)


def key(
    store: Store, name: str, *scopes: Scope, rate: int | None = None, at_once: int | None = None
) -> dict[str, str]:
    """Headers of a new key."""
    limits = {"rate_per_minute": rate, "concurrent": at_once}
    _, shown = store.keys.create(name, scopes or ("chat",), None, **limits)
    return {"Authorization": f"Bearer {shown}"}


def send(state: AppState, method: str, path: str, body: Any = None, **headers: str) -> Any:
    async def call() -> httpx.Response:
        async with client_of(state) as client:
            return await client.request(method, path, json=body, headers=headers)

    return run(call())


def chat(state: AppState, words: str, headers: dict[str, str], **more: Any) -> httpx.Response:
    body = {"model": "live", "messages": user(words)} | more
    return send(state, "POST", "/v1/chat/completions", body, **headers)


def test_from_the_first_key_on_everybody_needs_one(store: Store) -> None:
    state = state_on(fake(), store)
    assert send(state, "GET", "/v1/models").status_code == 200
    headers = key(store, "team")
    assert send(state, "GET", "/v1/models").status_code == 401
    assert send(state, "GET", "/v1/models", **headers).status_code == 200
    store.keys.revoke("team")
    assert send(state, "GET", "/v1/models", **headers).status_code == 401


@pytest.mark.parametrize(
    ("scopes", "may"),
    [
        (("chat",), {"/v1/models"}),
        (("read",), {"/admin/status"}),
        (("admin",), {"/v1/models", "/admin/status", "/admin/rollback"}),
    ],
)
def test_a_key_may_what_its_scopes_say(
    store: Store, scopes: tuple[Scope, ...], may: set[str]
) -> None:
    """404 says that the caller was let in: these servers have no actions."""
    state, headers = state_on(fake(), store), key(store, "team", *scopes)
    for method, path in (
        ("GET", "/v1/models"), ("GET", "/admin/status"), ("POST", "/admin/rollback"),
    ):  # fmt: skip
        reply = send(state, method, path, **headers)
        assert (reply.status_code in (200, 404)) == (path in may), (path, reply.text)
        if path not in may:
            assert reply.json()["error"]["code"] == "insufficient_scope"


def test_two_tenants_threads_of_one_name_are_two(store: Store) -> None:
    def recall(model: str, messages: list[Any], tools: list[Any]) -> str:
        return str([m["content"] for m in messages if m["role"] == "user"])

    engine = FakeVllm(recall, served_name=LIVE)
    state = state_on(engine, store, checkpointer=InMemorySaver())
    one, two = key(store, "one"), key(store, "two")
    said = [
        chat(state, words, headers, thread_id="main").json()
        for words, headers in (("a secret", one), ("hello", two), ("again", one))
    ]
    answers = [each["choices"][0]["message"]["content"] for each in said]
    assert answers == ["['a secret']", "['hello']", "['a secret', 'again']"]
    assert [each["perennial"]["thread"] for each in said] == ["main"] * 3


def test_another_tenants_episode_is_unknown(store: Store) -> None:
    state = state_on(fake(), store)
    one, two = key(store, "one"), key(store, "two")
    episode = chat(state, "6*7", one).json()["perennial"]["episode"]
    body = {"episode": episode, "rating": "up"}
    assert send(state, "POST", "/v1/feedback", body, **two).status_code == 404
    assert store.feedback.get(episode) is None
    assert send(state, "POST", "/v1/feedback", body, **one).status_code == 200
    assert send(state, "POST", "/v1/feedback", body, **key(store, "x", "admin")).status_code == 200


def test_over_its_rate_a_key_is_told_how_long_to_wait(store: Store) -> None:
    state = replace(state_on(fake(), store), usage=Usage(rate_per_minute=1))
    few, more = key(store, "few"), key(store, "more", rate=3)
    assert [chat(state, "1", few).status_code for _ in range(2)] == [200, 429]
    assert [chat(state, "1", more).status_code for _ in range(4)] == [200, 200, 200, 429]
    over = chat(state, "1", few)
    assert over.json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(over.headers["Retry-After"]) <= 60


def test_a_stream_counts_until_its_last_byte(store: Store) -> None:
    """And is counted no more afterwards; others are not touched by it."""
    state = state_on(fake(word_delay_s=0.05), store)
    one, two = key(store, "one", at_once=1), key(store, "two", at_once=1)
    body = {"model": "live", "messages": user("6*7"), "stream": True}

    async def ask(client: httpx.AsyncClient, headers: dict[str, str]) -> int:
        reply = await client.post("/v1/chat/completions", json=body, headers=headers)
        return reply.status_code

    async def work() -> list[int]:
        async with client_of(state) as client:
            first = asyncio.create_task(ask(client, one))
            await asyncio.sleep(0.1)
            others = [await ask(client, one), await ask(client, two)]
            return [await first, *others, await ask(client, one)]

    assert run(work()) == [200, 429, 200, 200]
