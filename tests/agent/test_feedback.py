"""POST /v1/feedback: what is stored, what is refused, and who may say something."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from agent_app import LIVE, NEXT, client_of, reckoner, run, state_on, user

from agent.api.state import AppState
from agent.fake_engine import FakeVllm
from store.store import Store

FEEDBACK = "/v1/feedback"
BEGAN = datetime(2020, 1, 1, tzinfo=UTC)


def fake() -> FakeVllm:
    return FakeVllm(reckoner, served_name=LIVE, adapters={NEXT: "/adapter"})


def answered(state: AppState, model: str = "live") -> str:
    """An episode that was just answered."""

    async def ask() -> httpx.Response:
        async with client_of(state) as client:
            body = {"model": model, "messages": user("6*7")}
            return await client.post("/v1/chat/completions", json=body)

    return run(ask()).json()["perennial"]["episode"]


def say(state: AppState, body: Any, **headers: str) -> httpx.Response:
    async def post() -> httpx.Response:
        async with client_of(state) as client:
            return await client.post(FEEDBACK, json=body, headers=headers)

    return run(post())


def test_feedback_is_kept_with_the_version_that_answered(store: Store) -> None:
    """Also of a version that was named; a correction may hold any text."""
    state = state_on(fake(), store)
    for model, version in (("live", LIVE), (NEXT, NEXT)):
        episode = answered(state, model)
        body = {"episode": episode, "rating": "down", "correction": "42 \x00 é"}
        response = say(state, body)
        assert response.status_code == 200 and response.json()["version"] == version
        kept = store.feedback.get(episode)
        assert kept is not None
        assert (kept.version, kept.rating, kept.correction) == (version, "down", "42 \x00 é")
        assert store.feedback.of_version(version, BEGAN) == [kept]


def test_the_later_of_two_counts(store: Store) -> None:
    state = state_on(fake(), store)
    episode = answered(state)
    say(state, {"episode": episode, "rating": "down", "correction": "x"})
    say(state, {"episode": episode, "rating": "up"})
    kept = store.feedback.get(episode)
    assert kept is not None and (kept.rating, kept.correction) == ("up", None)
    assert len(store.feedback.of_version(LIVE, BEGAN)) == 1


def test_an_unknown_episode_is_a_404_in_openai_s_shape(store: Store) -> None:
    response = say(state_on(fake(), store), {"episode": "absent", "rating": "up"})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (404, "not_found")
    assert "absent" in error["message"] and set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"rating": "fine"}, "rating"),
        ({"rating": None}, "rating"),
        ({"episode": ""}, "episode"),
        ({"correction": 7}, "correction"),
        ({"correction": "x" * 100_001}, "correction"),
        ({"stars": 5}, "stars"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_changes_nothing(
    store: Store, change: dict[str, Any], param: str
) -> None:
    state = state_on(fake(), store)
    episode = answered(state)
    response = say(state, {"episode": episode, "rating": "up"} | change)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    assert store.feedback.get(episode) is None


def test_it_needs_the_key_that_chat_needs(store: Store) -> None:
    state = state_on(fake(), store, api_key="secret")
    body = {"episode": "e", "rating": "up"}
    assert say(state, body).status_code == 401
    assert say(state, body, Authorization="Bearer secret").status_code == 404


def test_who_watches_is_told(store: Store) -> None:
    """Once for each, after it is stored."""
    told: list[str | None] = []
    state = state_on(fake(), store)
    episode = answered(state)

    def rated() -> None:
        kept = store.feedback.get(episode)
        told.append(kept.rating if kept else None)

    state = replace(state, rated=rated)
    say(state, {"episode": episode, "rating": "down"})
    say(state, {"episode": "absent", "rating": "down"})
    assert told == ["down"]


def test_an_episode_has_what_a_watch_needs(store: Store) -> None:
    """Time, tokens and tool calls of the run; older records without them can be read."""
    state = state_on(fake(), store)
    episode = store.episodes.get(answered(state))
    assert (episode.tool_calls, episode.tool_errors, episode.malformed) == (1, 0, 0)
    assert (episode.empty, episode.load, episode.named) == (False, 1, False)
    assert episode.seconds is not None and episode.seconds > 0
    assert episode.tokens
    assert store.episodes.get(answered(state, NEXT)).named
    kept = episode.model_dump(mode="json", include={
        "id", "thread", "version", "messages", "steps", "error", "created_at",
    })  # fmt: skip
    assert type(episode).model_validate(kept).tool_calls is None


def test_failed_calls_and_empty_answers_are_counted(store: Store) -> None:
    """A call that fails, one that cannot be read, and a run that ends without a word."""

    def mute(model: str, messages: list[Any], tools: list[Any]) -> Any:
        if messages[-1]["role"] == "tool":
            return ""
        calls = [{"name": "calculate", "arguments": a} for a in ({"expression": "1+"}, "{")]
        return calls

    state = state_on(FakeVllm(mute, served_name=LIVE), store)
    episode = store.episodes.get(answered(state))
    assert (episode.tool_calls, episode.tool_errors, episode.malformed) == (2, 2, 1)
    assert episode.empty


def test_a_route_decides_by_thread_which_version_answers(store: Store) -> None:
    """Named versions are answered as named."""
    seen: list[str] = []

    def route(thread: str) -> str:
        seen.append(thread)
        return NEXT if thread == "t" else LIVE

    state = replace(state_on(fake(), store), route=route)

    async def ask(model: str, **headers: str) -> str:
        async with client_of(state) as client:
            body = {"model": model, "messages": user("1")}
            reply = await client.post("/v1/chat/completions", json=body, headers=headers)
            return reply.headers["X-Perennial-Version"]

    assert run(ask("live", **{"X-Thread-Id": "t"})) == NEXT
    assert run(ask(LIVE, **{"X-Thread-Id": "t"})) == LIVE
    assert run(ask("perennial")) == run(ask("perennial")) == LIVE
    assert seen[0] == "t" and len(set(seen)) == 3
