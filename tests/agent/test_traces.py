"""Traces and logs of runs: what is in them, how they hang together, and what is never told."""

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from agent_app import LIVE, client_of, reckoner, run, served, state_on, user
from langgraph.checkpoint.memory import InMemorySaver
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import StatusCode
from spans import kept_spans

from agent.api.state import AppState
from agent.config_telemetry import TelemetrySettings
from agent.fake_engine import FakeVllm
from agent.telemetry import attributes as names
from agent.telemetry.logs import logging_as
from agent.telemetry.traces import exporting
from store.store import Store

SECRET = "31337*2"


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    return kept_spans()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    exporter.clear()
    return exporter


@pytest.fixture
def fake() -> FakeVllm:
    return FakeVllm(reckoner, served_name=LIVE)


def ask(state: AppState, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    body = {"model": "live", "messages": user(SECRET), "thread_id": "t1"} | more

    async def work() -> httpx.Response:
        async with client_of(state) as client:
            return await client.post("/v1/chat/completions", json=body, headers=headers)

    return run(work())


def tree(spans: Sequence[ReadableSpan]) -> dict[str, str]:
    """Each span's name with its parent's."""
    by_id = {span.context.span_id: span.name for span in spans if span.context}
    return {s.name: by_id.get(s.parent.span_id, "(outside)") if s.parent else "" for s in spans}


def one(spans: Sequence[ReadableSpan], beginning: str) -> dict[str, Any]:
    """The attributes of the first span of that name."""
    return dict(next(s for s in spans if s.name.startswith(beginning)).attributes or {})


@pytest.mark.parametrize("stream", [False, True])
def test_a_run_is_one_tree_of_spans(
    store: Store, fake: FakeVllm, spans: InMemorySpanExporter, stream: bool
) -> None:
    """Also of a stream, which one task begins and another reads; in its caller's trace."""
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    state = state_on(fake, store, checkpointer=InMemorySaver())
    parent = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    response = ask(state, parent, stream=stream)
    assert response.status_code == 200
    done = spans.get_finished_spans()
    assert tree(done) == {
        "POST /v1/chat/completions": "(outside)",
        "invoke_agent perennial": "POST /v1/chat/completions",
        f"chat {LIVE}": "invoke_agent perennial",
        "execute_tool calculate": "invoke_agent perennial",
    }
    assert {trace.format_trace_id(s.context.trace_id) for s in done if s.context} == {trace_id}
    agent, chat = one(done, "invoke_agent"), one(done, "chat")
    assert agent[names.CONVERSATION] == "t1" and agent[names.VERSION] == LIVE
    assert agent[names.RUN] == store.episodes.list()[0].id
    assert (agent[names.OUTCOME], agent[names.STEPS]) == ("answered", 2)
    assert chat[names.RESPONSE_MODEL] == LIVE and chat[names.INPUT_TOKENS] > 0
    assert one(done, "execute_tool")[names.TOOL_CALL] == "call-0"
    assert one(done, "POST")[names.HTTP_STATUS] == 200


def test_no_text_is_told(store: Store, fake: FakeVllm, spans: InMemorySpanExporter) -> None:
    """Neither what users and tools say, nor the words of an engine's error, which may repeat it."""
    state = state_on(fake, store)
    ask(state)
    fake.fail("completions", 400, f"cannot parse {SECRET}")
    ask(state)
    told = json.dumps([json.loads(s.to_json()) for s in spans.get_finished_spans()])
    assert SECRET not in told and "62674" not in told
    assert names.OPERATION in told


def test_an_engine_that_is_away_is_an_error_in_every_span(
    store: Store, fake: FakeVllm, spans: InMemorySpanExporter
) -> None:
    fake.down = True
    assert ask(state_on(fake, store)).status_code == 503
    done = spans.get_finished_spans()
    assert {s.status.status_code for s in done} == {StatusCode.ERROR}
    assert one(done, "chat")[names.ERROR_TYPE] == "EngineUnavailable"
    assert one(done, "invoke_agent")[names.OUTCOME] == "failed"


def test_a_client_that_leaves_is_told_and_is_no_error(
    store: Store, fake: FakeVllm, spans: InMemorySpanExporter
) -> None:
    fake.answer = lambda *_: "word " * 20_000
    fake.word_delay_s = 0.01
    state = state_on(fake, store)
    body = {"model": "live", "messages": user("x"), "stream": True}

    async def leave(url: str) -> None:
        async with (
            httpx.AsyncClient(base_url=url) as client,
            client.stream("POST", "/v1/chat/completions", json=body) as response,
        ):
            lines = response.aiter_lines()
            while "word" not in await anext(lines):
                pass
        while state.agent.pinned():
            await asyncio.sleep(0.01)

    with served(state) as url:
        run(leave(url))
    agent = next(s for s in spans.get_finished_spans() if s.name.startswith("invoke_agent"))
    assert (agent.attributes or {})[names.OUTCOME] == "cancelled"
    assert agent.status.status_code is not StatusCode.ERROR


def test_the_names_are_those_of_the_conventions() -> None:
    known = {v for k, v in vars(gen_ai_attributes).items() if k.startswith("GEN_AI_")}
    own = {v for v in vars(names).values() if isinstance(v, str) and v.startswith("gen_ai.")}
    assert own and own <= known


def logged(settings: TelemetrySettings, state: AppState) -> list[str]:
    """The lines that a question leaves."""
    stream = io.StringIO()
    with logging_as(settings, stream):
        ask(state)
    return stream.getvalue().splitlines()


def test_a_run_is_a_line_of_json_with_its_ids(store: Store, fake: FakeVllm) -> None:
    settings = TelemetrySettings(log_format="json", log_level="info")
    lines = [json.loads(line) for line in logged(settings, state_on(fake, store))]
    (line,) = [line for line in lines if line["message"] == "run answered"]
    episode = store.episodes.list()[0]
    assert (line["run"], line["thread"], line["version"]) == (episode.id, "t1", LIVE)
    assert (line["level"], line["steps"], line["outcome"]) == ("info", 2, "answered")
    assert SECRET not in json.dumps(lines)


def test_a_failed_run_is_a_warning_with_its_ids_in_text(store: Store, fake: FakeVllm) -> None:
    fake.down = True
    (line,) = logged(TelemetrySettings(), state_on(fake, store))
    assert line.startswith("WARNING run failed [version=") and "thread=t1" in line


def test_a_line_that_can_hardly_be_written_is_written() -> None:
    """A traceback, an object that is no JSON, half a surrogate pair."""
    stream = io.StringIO()
    with logging_as(TelemetrySettings(log_format="json"), stream):
        try:
            raise ValueError("no")
        except ValueError:
            logging.getLogger("x").warning(
                "odd \ud800 %s", "words", exc_info=True, extra={"facts": {"o": object()}}
            )
    line = json.loads(stream.getvalue())
    assert line["message"].startswith("odd") and "ValueError: no" in line["error"]


def test_spans_reach_the_collector(store: Store, fake: FakeVllm) -> None:
    """The last ones too: the end waits for them."""
    got: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    async def work(url: str) -> None:
        async with exporting(TelemetrySettings(otlp_endpoint=url)):
            await asyncio.to_thread(ask, state_on(fake, store))

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            run(work(f"http://127.0.0.1:{server.server_port}/"))
        finally:
            server.shutdown()
            thread.join()
    assert {path for path, _ in got} == {"/v1/traces"}
    told = b"".join(body for _, body in got)
    assert b"invoke_agent perennial" in told and names.VERSION.encode() in told


def test_nothing_is_loaded_or_sent_unless_an_endpoint_is_set() -> None:
    """Traces are for those who ask for them; also the SDK's start costs time."""
    code = (
        "import asyncio, sys\n"
        "from agent.config_telemetry import TelemetrySettings\n"
        "from agent.telemetry.traces import exporting\n"
        "async def main():\n"
        "    async with exporting(TelemetrySettings()):\n"
        "        print('opentelemetry.sdk.trace' in sys.modules)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr
