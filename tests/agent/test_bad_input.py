"""Requests that are wrong, too large, binary, or left alone by their client."""

import json
import threading
from typing import Any

import httpx
import pytest
from agent_app import LIVE, Wire, client_of, reckoner, run, served, state_on, user
from langgraph.checkpoint.memory import InMemorySaver

from agent.api.limits import MAX_BODY
from agent.api.state import AppState
from agent.fake_engine import FakeVllm
from store.store import Store

CHAT = "/v1/chat/completions"


@pytest.fixture
def fake() -> FakeVllm:
    return FakeVllm(reckoner, served_name=LIVE)


@pytest.fixture
def state(store: Store, fake: FakeVllm) -> AppState:
    return state_on(fake, store, checkpointer=InMemorySaver())


def send(state: AppState, content: Any, path: str = CHAT) -> httpx.Response:
    """POST bytes, or pieces of them, as JSON."""

    async def work() -> httpx.Response:
        async with client_of(state) as client:
            headers = {"content-type": "application/json"}
            return await client.post(path, content=content, headers=headers)

    return run(work())


def chat(state: AppState, **body: Any) -> httpx.Response:
    return send(state, json.dumps({"model": "live", "messages": user("1+1")} | body))


def error(response: httpx.Response) -> Wire:
    return response.json()["error"]


def test_a_body_that_says_that_it_is_too_large_is_not_read(state: AppState) -> None:
    response = send(state, b'"' + b"x" * MAX_BODY + b'"')
    assert (response.status_code, error(response)["code"]) == (413, "body_too_large")


def test_a_body_that_turns_out_to_be_too_large_is_given_up(state: AppState) -> None:
    """A body in pieces says no length; what it would hold must not fill the memory."""
    sent = 0

    async def pieces() -> Any:
        nonlocal sent
        while sent < 4 * MAX_BODY:
            sent += 1 << 20
            yield b"x" * (1 << 20)

    response = send(state, pieces())
    assert response.status_code == 413 and str(MAX_BODY) in error(response)["message"]
    assert sent <= MAX_BODY + (1 << 20)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"[" * 100_000, b'{"model": ' + b"9" * 5000 + b"}", b"null", b"[]", b'"x"'],
)
def test_a_body_that_is_no_request_is_a_400(state: AppState, body: bytes) -> None:
    response = send(state, body)
    assert response.status_code == 400 and error(response)["message"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("colour", "red"),
        ("top_k", 3),
        ("temperature", float("nan")),
        ("top_p", 0),
        ("seed", 2**64),
        ("max_tokens", 10**30),
        ("stop", [""]),
        ("stop", ["x"] * 17),
        ("model", "\ud800"),
        ("model", "a\0b"),
        ("thread_id", "日本"),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "x"}}),
        ("response_format", {"type": "xml"}),
        ("stream", "perhaps"),
    ],
)
def test_a_field_that_cannot_be_is_named(state: AppState, field: str, value: Any) -> None:
    response = chat(state, **{field: value})
    assert response.status_code == 400
    assert str(error(response)["param"]).startswith(field)


@pytest.mark.parametrize(
    "field", ["tools", "functions", "logprobs", "logit_bias", "reasoning_effort", "audio"]
)
def test_what_cannot_be_honoured_is_refused_and_not_ignored(state: AppState, field: str) -> None:
    response = chat(state, **{field: ["x"]})
    assert response.status_code == 400
    assert f"{field} is not supported" in error(response)["message"]
    assert error(response)["param"] == field


def test_what_changes_no_answer_is_passed_over(state: AppState) -> None:
    body: Wire = {
        "user": "me", "store": False, "service_tier": "auto", "parallel_tool_calls": True,
        "tools": [], "tool_choice": "auto", "logprobs": False, "n": 1, "prediction": None,
        "response_format": {"type": "text"}, "metadata": {"a": "b"}, "modalities": ["text"],
    }  # fmt: skip
    assert chat(state, **body).status_code == 200


@pytest.mark.parametrize(
    "schema",
    [{"type": "integre"}, {"properties": 7}, {"pattern": "("}, {"x": "y" * 100_001}],
    ids=["type", "properties", "pattern", "long"],
)
def test_a_schema_that_is_none_is_a_400(state: AppState, fake: FakeVllm, schema: Wire) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    response = chat(state, response_format=form)
    assert response.status_code == 400
    assert error(response)["param"].startswith("response_format") and fake.requests == []


def test_a_thousand_messages_are_answered(state: AppState, fake: FakeVllm) -> None:
    fake.answer = lambda model, messages, tools: str(len(messages))
    turn = [*user("x"), {"role": "assistant", "content": "y"}]
    response = chat(state, messages=[*turn * 500, *user("z")])
    assert response.json()["choices"][0]["message"]["content"] == "1002"


@pytest.mark.parametrize("stream", [False, True])
def test_binary_in_a_text_does_no_harm(state: AppState, fake: FakeVllm, stream: bool) -> None:
    """What is text goes through unchanged; half a surrogate pair is none."""
    fake.answer = lambda model, messages, tools: messages[-1]["content"]
    odd = "\0\x01\x1b[2J\x7f\ufffe 𝄞 \u202e"
    response = chat(state, messages=user(odd), stream=stream, thread_id="t")
    assert response.status_code == 200
    lines = [json.loads(line[6:]) for line in response.text.split("\n\n")[:-2]] if stream else []
    said = [chunk["choices"][0]["delta"].get("content", "") for chunk in lines]
    if not stream:
        said = [response.json()["choices"][0]["message"]["content"]]
    assert "".join(said) == odd
    half = chat(state, messages=user("a\ud800b"), stream=stream)
    assert half.status_code == 400
    assert (error(half)["param"], "surrogate" in error(half)["message"]) == (
        "messages.0.content", True,
    )  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_its_run(store: Store, fake: FakeVllm, stream: bool) -> None:
    """And frees its slot and its version: one that stays pinned could never be unloaded."""
    fake.answer = lambda *_: "word " * 20_000
    fake.word_delay_s = 0.01
    fake.delay_s = 0.0 if stream else 1000.0
    state = state_on(fake, store)
    with served(state) as url:
        body = {"model": "live", "messages": user("x"), "stream": stream}
        with httpx.Client(base_url=url) as client:
            if stream:
                with client.stream("POST", CHAT, json=body) as response:
                    # Kept in a name: an iterator that is thrown away closes the connection.
                    lines = response.iter_lines()
                    assert any("word" in line for line in lines)
                    assert state.agent.pinned() == {LIVE}
            else:
                with pytest.raises(httpx.ReadTimeout):
                    client.post(CHAT, json=body, timeout=1.0)
        for _ in range(1000):
            if not state.agent.pinned() and not state.usage.under_way:
                break
            threading.Event().wait(0.01)
        assert state.agent.pinned() == set() and state.usage.under_way == 0
    assert store.episodes.list() == []


@pytest.mark.parametrize(
    ("content_type", "named"), [(None, "without a content type"), ("text/plain", "as text/plain")]
)
def test_a_body_of_another_content_type_is_told_of_the_header(
    state: AppState, content_type: str | None, named: str
) -> None:
    async def work() -> httpx.Response:
        async with client_of(state) as client:
            headers = {"content-type": content_type} if content_type else {}
            body = json.dumps({"model": "live", "messages": user("1+1")}).encode()
            return await client.post(CHAT, content=body, headers=headers)

    message = error(run(work()))["message"]
    assert named in message and "Content-Type: application/json" in message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"temperature": 9}, "temperature = 9: must be less than or equal to 2"),
        ({"stop": ["x"] * 17}, "stop: List should have at most 16 items"),
        ({"messages": [{"role": "usr"}]}, 'messages.0.role = "usr": must be one of system, '),
        ({"messages": [{"role": "user"}]}, "messages.0.content: is missing"),
        (
            {"messages": [{"role": "user"}, {"role": "user", "content": [{"type": "audio"}]}]},
            "messages.0.content: is missing",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content.0.type = \"image_url\": must be 'text'",
        ),
    ],
)
def test_a_bad_value_is_named_with_what_may_be_there(
    state: AppState, body: Wire, message: str
) -> None:
    assert error(chat(state, **body))["message"].startswith(message)


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/nowhere", "there is no GET /nowhere; "),
        ("GET", CHAT, f"there is no GET {CHAT}; this path takes POST"),
    ],
)
def test_what_is_not_there_is_named(state: AppState, method: str, path: str, message: str) -> None:
    async def work() -> httpx.Response:
        async with client_of(state) as client:
            return await client.request(method, path)

    assert error(run(work()))["message"].startswith(message)
