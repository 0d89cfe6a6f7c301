"""Engines by URL: how addresses join, where the key goes and where not, what refusals say."""

import asyncio
from typing import Any

import httpx
import pytest

from agent.engine import Engine, Reply, ToolCall
from agent.engine_remote import Remote
from store.errors import ConfigError, EngineRefused, EngineUnavailable

KEY = "sk-secret-0123456789"
USER = [{"role": "user", "content": "hello"}]
ANSWER = {"model": "m-2026", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}


def chat(url: str, answer: httpx.Response | Exception, key: str = "") -> tuple[Any, httpx.Request]:
    """What one chat gives or raises, and the request that was sent."""
    sent: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask() -> Reply:
        async with Engine.at(url, key, transport=httpx.MockTransport(handle)) as engine:
            return await engine.chat("m", USER, max_tokens=8, temperature=0.0, seed=0)

    try:
        return asyncio.run(ask()), sent[0]
    except (EngineRefused, EngineUnavailable) as error:
        return error, sent[0]


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1/chat/completions"),
        ("http://localhost:8000/", "http://localhost:8000/v1/chat/completions"),
        ("https://host/v1", "https://host/v1/chat/completions"),
        ("https://host/v1/", "https://host/v1/chat/completions"),
        ("https://host/openai/v1", "https://host/openai/v1/chat/completions"),
        ("https://host/api", "https://host/api/v1/chat/completions"),
        ("https://host/api/paas/v4", "https://host/api/paas/v4/chat/completions"),
        ("https://host/v1beta/openai/", "https://host/v1beta/openai/chat/completions"),
        ("https://host/v1/chat/completions", "https://host/v1/chat/completions"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/chat/completions"),
    ],
)
def test_paths_join_whether_the_url_has_a_version_or_not(given: str, asked: str) -> None:
    reply, request = chat(given, httpx.Response(200, json=ANSWER))
    assert str(request.url) == asked
    assert (reply.content, reply.model, reply.prompt_tokens) == ("hi", "m-2026", 0)


def test_the_key_is_a_bearer_token_and_there_is_none_without_it() -> None:
    _, request = chat("https://host/v1", httpx.Response(200, json=ANSWER), f" {KEY}\n")
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    _, request = chat("https://host/v1", httpx.Response(200, json=ANSWER))
    assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "OPENAI_API_KEY"), (403, "OPENAI_API_KEY"), (404, "https://host/v1"),
        (429, "fewer at once"), (308, "redirects to"), (500, "own words"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_endpoint_and_the_way_out_and_never_the_key(
    status: int, hint: str
) -> None:
    said = {"error": {"message": f"Incorrect API key provided: {KEY}."}}
    error, _ = chat("https://host", httpx.Response(status, json=said), KEY)
    assert isinstance(error, EngineRefused) and error.status == status
    assert "https://host/v1" in error.message and str(status) in error.message
    assert hint in error.hint and "Incorrect API key" in error.message
    assert KEY not in str(error)


def test_what_does_not_answer_is_unavailable_and_keeps_the_key_to_itself() -> None:
    error, _ = chat("https://host/v1", httpx.ConnectError(f"no route, {KEY}"), KEY)
    assert isinstance(error, EngineUnavailable)
    assert "https://host/v1" in error.message and KEY not in str(error)
    assert KEY not in repr(Remote.of("https://host/v1", KEY))


@pytest.mark.parametrize(
    "url",
    [
        "", "host/v1", "ftp://host/v1", "https://", "https://host:port/v1", "https://[::1/v1", "http://ex\u2003ample/v1",
        f"https://me:{KEY}@host/v1", f"https://host/v1?key={KEY}", f"https://host/v1#{KEY}",
    ],
)  # fmt: skip
def test_what_is_no_plain_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Engine.at(url)
    assert "https://host/v1" in refused.value.hint
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_no_header_carries_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY") as refused:
        Engine.at("https://host/v1", key)
    assert key not in str(refused.value)


def test_other_servers_ways_to_write_calls_and_texts_are_read() -> None:
    """Calls without an id, arguments that are read already, words in parts, usage of null."""
    call = {"function": {"name": "f", "arguments": {"a": "ü"}}}
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "so"}]
    message = {"content": parts, "tool_calls": [call]}
    usage = {"prompt_tokens": None, "completion_tokens": None}
    body = {"model": "m", "choices": [{"message": message}], "usage": usage}
    reply, _ = chat("https://host/v1", httpx.Response(200, json=body))
    assert reply.tool_calls == (ToolCall("call-0", "f", '{"a": "ü"}'),)
    assert (reply.content, reply.completion_tokens) == ("so", 0)


def test_half_a_surrogate_pair_becomes_a_mark_that_files_can_hold() -> None:
    body = rb'{"model": "m", "choices": [{"message": {"content": "a\ud800b \ud83d\ude00"}}]}'
    reply, _ = chat("https://host/v1", httpx.Response(200, content=body))
    assert reply.content == "a\ufffdb \U0001f600"
