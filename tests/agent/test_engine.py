"""The engine client against its shipped fake: every method, and every way an engine can fail."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.engine import Delta, Engine, Reply, ToolCall
from agent.fake_engine import FakeVllm
from store.errors import EngineRefused, EngineUnavailable

TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {}}}]
USER = [{"role": "user", "content": "how is it in Oslo"}]


def echo(model: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Any:
    """A call of the first tool when there is one, else the question with the model's name."""
    if tools:
        return [{"name": tools[0]["function"]["name"], "arguments": {"city": "Oslo"}}]
    return f"{model}: {messages[-1]['content']}"


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


def engine_on(transport: httpx.AsyncBaseTransport) -> Engine:
    return Engine(Path("/nowhere/engine.sock"), transport=transport)


def replying(status: int, **kwargs: Any) -> Engine:
    """An engine that answers everything with one fixed response."""
    return engine_on(httpx.MockTransport(lambda _: httpx.Response(status, **kwargs)))


def test_chat_gives_text_and_names_the_model_that_answered() -> None:
    reply = run(engine_on(FakeVllm(echo)).chat("base", USER, max_tokens=8))
    assert reply.content == "base: how is it in Oslo"
    assert (reply.finish_reason, reply.model, reply.tool_calls) == ("stop", "base", ())
    assert reply.completion_tokens == 6


def test_a_tool_call_keeps_its_arguments_as_raw_text() -> None:
    """Arguments that are not JSON reach the caller, who shows the model its mistake."""
    fake = FakeVllm(lambda *_: [{"name": "get_weather", "arguments": '{"city": Oslo'}])
    reply = run(engine_on(fake).chat("base", USER, TOOLS, max_tokens=8))
    assert reply.tool_calls == (ToolCall("call-0", "get_weather", '{"city": Oslo'),)


def test_a_stream_ends_in_the_reply_that_chat_gives() -> None:
    async def both(tools: list[dict[str, Any]] | None) -> tuple[list[Any], Reply]:
        engine = engine_on(FakeVllm(echo))
        pieces = [p async for p in engine.chat_stream("base", USER, tools, max_tokens=8)]
        return pieces, await engine.chat("base", USER, tools, max_tokens=8)

    pieces, whole = run(both(None))
    assert pieces[-1] == whole
    assert "".join(p.text for p in pieces[:-1]) == whole.content
    pieces, whole = run(both(TOOLS))
    assert pieces[-1] == whole
    assert pieces[0] == Delta(
        tool_index=0, tool_id="call-0", tool_name="get_weather", arguments='{"city":'
    )


def test_only_what_is_asked_for_is_sent() -> None:
    """vLLM refuses an empty tool list, and any priority without the priority scheduler."""
    fake = FakeVllm(echo)
    run(engine_on(fake).chat("base", USER, [], max_tokens=8))
    assert fake.requests[-1][1] == {
        "model": "base", "max_tokens": 8, "temperature": 0.0, "messages": USER,
    }  # fmt: skip
    run(engine_on(fake).chat("base", USER, max_tokens=8, seed=0, stop=["x"], priority=3))
    assert {"seed": 0, "stop": ["x"], "priority": 3}.items() <= fake.requests[-1][1].items()


def test_top_logprobs_are_ids_best_first() -> None:
    fake = FakeVllm(echo, logprobs=lambda *_: {7: -2.0, 5: -0.5, 9: -3.0, 4: -2.0})
    top = run(engine_on(fake).top_logprobs("base", "a rendered prompt", k=3))
    assert top.token_ids == (5, 4, 7)
    assert top.logprobs == (-0.5, -2.0, -2.0)
    assert fake.requests[-1][1]["add_special_tokens"] is False


def test_generate_gives_ids_with_their_logprobs() -> None:
    fake = FakeVllm(echo, logprobs=lambda *_: {7: -0.25})
    made = run(engine_on(fake).generate("base", [1, 2, 3], max_tokens=1))
    assert (made.token_ids, made.logprobs, made.prompt_tokens) == ((7,), (-0.25,), 3)


def test_adapters_are_loaded_listed_asked_and_unloaded(tmp_path: Path) -> None:
    async def work() -> None:
        engine = engine_on(FakeVllm(echo))
        await engine.load_adapter("v1-abcdef", tmp_path)
        assert await engine.models() == ["base", "v1-abcdef"]
        assert (await engine.chat("v1-abcdef", USER, max_tokens=8)).model == "v1-abcdef"
        with pytest.raises(EngineRefused, match="already been loaded") as refused:
            await engine.load_adapter("v1-abcdef", tmp_path)
        assert refused.value.status == 400
        await engine.unload_adapter("v1-abcdef")
        with pytest.raises(EngineRefused, match="does not exist") as refused:
            await engine.chat("v1-abcdef", USER, max_tokens=8)
        assert refused.value.status == 404

    run(work())


def test_metrics_are_summed_over_labels() -> None:
    text = (
        "# TYPE vllm:requests counter\n"
        'vllm:requests_total{reason="stop"} 2.0\nvllm:requests_total{reason="length"} 3.0\n'
        "# TYPE vllm:seconds histogram\n"
        'vllm:seconds_bucket{le="1.0"} 4.0\nvllm:seconds_bucket{le="+Inf"} 5.0\n'
        "vllm:seconds_sum 9.5\nvllm:seconds_count 5.0\n"
    )
    assert run(replying(200, text=text).metrics()) == {
        "vllm:requests_total": 5.0, "vllm:seconds_sum": 9.5, "vllm:seconds_count": 5.0,
    }  # fmt: skip


def test_nobody_listening_is_unavailable_and_not_healthy(tmp_path: Path) -> None:
    """The default transport, on a socket that does not exist."""

    async def work() -> None:
        async with Engine(tmp_path / "none.sock") as engine:
            assert await engine.health() is False
            with pytest.raises(EngineUnavailable, match=r"none\.sock"):
                await engine.chat("base", USER, max_tokens=8)
            with pytest.raises(EngineUnavailable):
                await engine.models()

    run(work())


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("x"), httpx.ReadError("x"), httpx.WriteError("x"),
        httpx.ReadTimeout("x"), httpx.PoolTimeout("x"), httpx.RemoteProtocolError("x"),
        httpx.DecodingError("x"),
    ],
)  # fmt: skip
def test_every_transport_failure_is_unavailable(error: Exception) -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        raise error

    engine = engine_on(httpx.MockTransport(broken))
    with pytest.raises(EngineUnavailable):
        run(engine.chat("base", USER, max_tokens=8))
    assert run(engine.health()) is False


def test_a_refusal_carries_the_status_and_the_engines_words() -> None:
    fake = FakeVllm(echo)
    fake.fail("/v1/chat/completions", 400, "maximum context length is 1024 tokens")
    with pytest.raises(EngineRefused, match="maximum context length is 1024") as refused:
        run(engine_on(fake).chat("base", USER, max_tokens=8))
    assert refused.value.status == 400
    assert "engine.max_model_len" in refused.value.hint


def test_a_server_whose_core_died_is_unavailable() -> None:
    """vLLM's front end answers 500 for a moment after its core is gone."""
    fake = FakeVllm(echo)
    fake.fail("/v1/chat/completions", 500, "EngineCore encountered an issue. See stack trace")
    with pytest.raises(EngineUnavailable, match="died"):
        run(engine_on(fake).chat("base", USER, max_tokens=8))


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"choices": []}', b"[]", b"null"])
def test_an_answer_outside_the_protocol_is_refused(body: bytes) -> None:
    with pytest.raises(EngineRefused, match="cannot be read"):
        run(replying(200, content=body).chat("base", USER, max_tokens=8))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'data: {"error": {"message": "out of blocks", "code": 503}}\n\n', EngineRefused),
        (b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', EngineUnavailable),
        (b"data: {broken\n\n", EngineRefused),
    ],
)
def test_a_stream_that_breaks_is_an_error_not_a_short_answer(
    body: bytes, error: type[Exception]
) -> None:
    async def work() -> None:
        async for _ in replying(200, content=body).chat_stream("base", USER, max_tokens=8):
            pass

    with pytest.raises(error):
        run(work())


def test_a_dead_engine_can_come_back() -> None:
    fake = FakeVllm(echo)
    engine = engine_on(fake)
    fake.down = True
    assert run(engine.health()) is False
    fake.down = False
    assert run(engine.health()) is True


EVENTS = (
    b'data: {"model": "base", "choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}'
    b"\n\ndata: [DONE]\n\n"
)


class Wire:
    """A server on a Unix socket that answers each request with one stream, and counts what
    connects; with `ends` false it leaves the body open."""

    def __init__(self, *, ends: bool) -> None:
        self.ends, self.connections = ends, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while head := await self._head(reader):
            length = next(x for x in head.lower().split(b"\r\n") if b"content-length" in x)
            await reader.readexactly(int(length.split(b":")[1]))
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            writer.write(b"%x\r\n%s\r\n" % (len(EVENTS), EVENTS))
            if self.ends:
                await asyncio.sleep(0.05)
                writer.write(b"0\r\n\r\n")
        writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return b""


@pytest.mark.parametrize(("ends", "connections"), [(True, 1), (False, 2)])
def test_a_connection_serves_the_next_stream_unless_the_last_one_does_not_end(
    tmp_path: Path, ends: bool, connections: int
) -> None:
    """The body ends after its last event, and a little later at times."""
    wire = Wire(ends=ends)

    async def work() -> list[Any]:
        socket = tmp_path / "s"
        server = await asyncio.start_unix_server(wire.serve, socket)
        async with server, Engine(socket) as engine:
            return [
                [piece async for piece in engine.chat_stream("base", USER, None, max_tokens=8)][-1]
                for _ in range(2)
            ]

    assert [reply.content for reply in run(work())] == ["a", "a"]
    assert wire.connections == connections
