"""The HTTP API as OpenAI's clients see it: real FastAPI, graph and store, a scripted engine."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from agent_app import (
    LIVE,
    NEXT,
    Wire,
    client_of,
    reckoner,
    run,
    state_on,
    user,
)

from agent.api.state import AppState
from agent.fake_engine import FakeVllm
from agent.threads import open_threads
from store.errors import EngineUnavailable
from store.store import Store

CHAT = "/v1/chat/completions"


def post(state: AppState, body: Wire, **kwargs: Any) -> httpx.Response:
    async def work() -> httpx.Response:
        async with client_of(state) as client:
            return await client.post(CHAT, json={"model": "live", **body}, **kwargs)

    return run(work())


def get(state: AppState, path: str, client: str = "127.0.0.1", **kwargs: Any) -> httpx.Response:
    async def work() -> httpx.Response:
        async with client_of(state, client) as http:
            return await http.get(path, **kwargs)

    return run(work())


def chunks_of(response: httpx.Response) -> list[Wire]:
    lines = [line for line in response.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def test_the_alias_answers_with_the_live_version_and_says_so(store: Store, fake: FakeVllm) -> None:
    response = post(state_on(fake, store), {"messages": user("6*7")})
    body = response.json()
    assert response.status_code == 200
    assert body["choices"][0]["message"]["content"] == f'{LIVE} says {{"result": 42}}'
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["total_tokens"] > 0
    assert response.headers["X-Perennial-Version"] == LIVE
    assert body["system_fingerprint"] == body["model"] == LIVE
    assert body["perennial"]["tools"] == [
        {"name": "calculate", "arguments": {"expression": "6*7"}, "result": '{"result": 42}'}
    ]
    episode = store.episodes.get(body["perennial"]["episode"])
    assert episode.version == LIVE


def test_a_pinned_version_answers_whatever_is_live(store: Store, fake: FakeVllm) -> None:
    response = post(state_on(fake, store), {"model": NEXT, "messages": user("1+1")})
    assert response.headers["X-Perennial-Version"] == NEXT
    assert response.json()["choices"][0]["message"]["content"].startswith(NEXT)


def test_an_unknown_model_is_a_404_that_names_those_that_exist(
    store: Store, fake: FakeVllm
) -> None:
    response = post(state_on(fake, store), {"model": "gpt-4", "messages": user("x")})
    error = response.json()["error"]
    assert response.status_code == 404
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert all(name in error["message"] for name in ("`gpt-4`", "live", LIVE, NEXT))


def test_a_version_that_is_not_loaded_says_so(store: Store) -> None:
    fake = FakeVllm(reckoner, served_name=LIVE)
    response = post(state_on(fake, store), {"model": NEXT, "messages": user("x")})
    assert response.status_code == 404
    assert "it is candidate and not loaded" in response.json()["error"]["message"]


def test_models_lists_the_alias_first_then_what_is_loaded(store: Store, fake: FakeVllm) -> None:
    data = get(state_on(fake, store), "/v1/models").json()["data"]
    assert [model["id"] for model in data] == ["live", LIVE, NEXT]
    assert data[0]["perennial"] == {"alias_of": LIVE}
    about = data[2]["perennial"]
    assert (about["state"], about["kind"], about["number"]) == ("candidate", "base", 1)
    assert (about["parent"], about["line"]) == (LIVE, [NEXT, LIVE])


def test_a_stream_has_role_text_tools_finish_and_usage(store: Store, fake: FakeVllm) -> None:
    body = {
        "messages": user("6*7"),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    response = post(state_on(fake, store), body)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["X-Perennial-Version"] == LIVE
    chunks = chunks_of(response)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks[:-1])
    assert text == f'{LIVE} says {{"result": 42}}'
    tools = [c["perennial"] for c in chunks if "perennial" in c]
    assert tools[0]["tool_call"]["name"] == "calculate"
    assert tools[1]["tool_result"]["content"] == '{"result": 42}'
    assert tools[2]["version"] == LIVE
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] > 0
    assert len({c["id"] for c in chunks}) == 1
    assert {c["system_fingerprint"] for c in chunks} == {LIVE}


def test_no_usage_chunk_comes_unasked(store: Store, fake: FakeVllm) -> None:
    chunks = chunks_of(post(state_on(fake, store), {"messages": user("1+1"), "stream": True}))
    assert all(chunk["choices"] for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_is_away_is_a_503_to_try_again(
    store: Store, fake: FakeVllm, stream: bool
) -> None:
    fake.down = True
    response = post(state_on(fake, store), {"messages": user("x"), "stream": stream})
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert response.json()["error"]["code"] == "engine_unavailable"


def test_no_live_version_is_a_503(store: Store, fake: FakeVllm) -> None:
    def none() -> str:
        raise EngineUnavailable("no version is live yet", "wait for the first start to finish")

    response = post(state_on(fake, store, live=none), {"messages": user("x")})
    assert (response.status_code, "no version is live" in response.text) == (503, True)


def test_a_fault_within_a_stream_comes_as_an_error_event(store: Store, fake: FakeVllm) -> None:
    def breaks(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
        fake.down = True
        return reckoner(model, messages, tools)

    fake.answer = breaks
    response = post(state_on(fake, store), {"messages": user("1+1"), "stream": True})
    last = json.loads(response.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert response.status_code == 200
    assert last["error"]["code"] == "engine_unavailable"


def test_a_conversation_too_long_is_the_clients_400(store: Store, fake: FakeVllm) -> None:
    fake.fail(CHAT, 400, "This model's maximum context length is 8 tokens.")
    response = post(state_on(fake, store), {"messages": user("x")})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": user("x"), "n": 2}, "n"),
        ({"messages": user("x"), "max_tokens": 0}, "max_tokens"),
        ({"messages": user("x"), "thread_id": "a/../b"}, "thread_id"),
        ({"messages": user("x"), "metadata": {"thread_id": "a b"}}, "thread_id"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0"),
    ],
)
def test_a_wrong_request_is_a_400_that_names_the_field(
    store: Store, fake: FakeVllm, body: Wire, param: str
) -> None:
    response = post(state_on(fake, store), body)
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (400, "invalid_request_error")
    assert str(error["param"]).startswith(param)
    assert fake.requests == []


def test_tools_of_the_client_are_refused_rather_than_ignored(store: Store, fake: FakeVllm) -> None:
    response = post(state_on(fake, store), {"messages": user("x"), "tools": [{"type": "function"}]})
    assert (response.status_code, "tools is not supported" in response.text) == (400, True)


def test_a_body_that_is_not_json_is_a_400(store: Store, fake: FakeVllm) -> None:
    async def work() -> httpx.Response:
        async with client_of(state_on(fake, store)) as client:
            headers = {"content-type": "application/json"}
            return await client.post(CHAT, content=b"{", headers=headers)

    response = run(work())
    assert (response.status_code, response.json()["error"]["code"]) == (400, None)


def test_text_parts_developer_and_sampling_reach_the_engine(store: Store, fake: FakeVllm) -> None:
    parts = [{"type": "text", "text": "1"}, {"type": "text", "text": "+1"}]
    body = {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": parts},
        ],
        "temperature": 0.5,
        "seed": 7,
        "max_completion_tokens": 9,
        "stop": "END",
    }
    assert post(state_on(fake, store), body).status_code == 200
    sent = fake.requests[0][1]
    assert [m["content"] for m in sent["messages"]] == ["Be brief.", "1+1"]
    assert (sent["temperature"], sent["seed"], sent["max_tokens"]) == (0.5, 7, 9)
    assert sent["stop"] == ["END"]


@pytest.mark.parametrize("how", ["field", "metadata", "header"])
def test_a_thread_is_kept_by_the_server(
    store: Store, fake: FakeVllm, tmp_path: Path, how: str
) -> None:
    """Also for a client that sends the whole conversation again: nothing is said twice."""
    fake.answer = lambda model, messages, tools: str([m["content"] for m in messages[1:]])

    async def work() -> list[str]:
        async with open_threads(tmp_path / "threads.db") as saver:
            state = state_on(fake, store, checkpointer=saver)
            async with client_of(state) as client:
                said: list[str] = []
                history = [*user("zero"), {"role": "assistant", "content": "0"}]
                for messages in (user("one"), user("two"), [*history, *user("three")]):
                    body: Wire = {"model": "live", "messages": messages}
                    headers = {}
                    if how == "field":
                        body["thread_id"] = "t1"
                    elif how == "metadata":
                        body["metadata"] = {"thread_id": "t1"}
                    else:
                        headers["X-Thread-Id"] = "t1"
                    response = await client.post(CHAT, json=body, headers=headers)
                    assert response.headers["X-Thread-Id"] == "t1"
                    said.append(response.json()["choices"][0]["message"]["content"])
                return said

    one, two, three = run(work())
    assert one == "['one']"
    assert two == str(["one", one, "two"])
    assert three == str(["one", one, "two", two, "three"])


def test_a_key_is_needed_once_it_is_set(store: Store, fake: FakeVllm) -> None:
    state = state_on(fake, store, api_key="secret")
    assert get(state, "/v1/models").status_code == 401
    wrong = get(state, "/v1/models", headers={"Authorization": "Bearer secre"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_api_key")
    right = {"Authorization": "Bearer secret"}
    assert get(state, "/v1/models", client="203.0.113.5", headers=right).status_code == 200
    assert get(state, "/health").status_code == 200


@pytest.mark.parametrize(
    ("client", "headers"),
    [
        ("203.0.113.5", {}),
        ("127.0.0.1", {"Host": "attacker.example"}),
        ("127.0.0.1", {"Origin": "https://attacker.example"}),
        ("127.0.0.1", {"Origin": "null"}),
    ],
)
def test_without_a_key_only_this_machine_may_call(
    store: Store, fake: FakeVllm, client: str, headers: dict[str, str]
) -> None:
    """A web page must not steer the assistant through the browser of its user."""
    response = get(state_on(fake, store), "/v1/models", client=client, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden")
    page = {"Origin": "http://localhost:8321"}
    assert get(state_on(fake, store), "/v1/models", headers=page).status_code == 200


def test_health_tells_engine_and_version(store: Store, fake: FakeVllm) -> None:
    assert get(state_on(fake, store), "/health").json() == {
        "status": "ok", "engine": True, "version": LIVE,
    }  # fmt: skip
    fake.down = True
    assert get(state_on(fake, store), "/health").status_code == 503
