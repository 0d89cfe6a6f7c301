"""The ways to have a question answered that `perennial bench agent` compares, on one engine.

Ours (agent.runs), as it is deployed (over HTTP, threads and episodes kept), LangChain's
`create_agent` with langchain-openai, and the bare requests to the engine that an answer takes. All
see the same prompts, tools, tool results and sampling; each gives what it took. One question at a
time. They judge nothing. Used by adapt.bench.agent.
"""

import json
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import httpx

from adapt.bench.agent_clock import Clock, Span
from agent.config_sections import AgentSettings
from agent.engine import Engine
from agent.fleet import Fleet
from agent.prompts import SYSTEM
from agent.runs import Agent
from agent.state import Done, Token
from store.errors import ConfigError
from tools.base import CallContext
from tools.registry import Registry

MAX_TOKENS = 256
ANSWER_S = 120.0


@dataclass(frozen=True)
class Took:
    """One answer. Seconds."""

    total: float
    first: float | None
    """To the first piece of text, of streams."""
    text: str
    spans: tuple[Span, ...] = ()
    """Its requests to the engine, where this side's are timed."""

    @property
    def engine(self) -> float:
        """Spent in requests to the engine."""
        return sum(span.end - span.begin for span in self.spans)


class Side(Protocol):
    """One way to have a question answered."""

    async def ask(self, question: str, *, stream: bool) -> Took:
        """The answer, from the first line of code to the last."""
        ...

    async def close(self) -> None:
        """Drop the connections."""
        ...


class Ours:
    """The agent, in this process."""

    def __init__(self, socket: Path, model: str, registry: Registry) -> None:
        self._clock = Clock(httpx, socket)
        self._engine = Engine(Path("-"), transport=self._clock.transport, timeout_s=ANSWER_S)
        settings = AgentSettings(max_tokens=MAX_TOKENS, temperature=0.0)
        self._agent = Agent(Fleet.of(self._engine, model), settings)
        self._model, self._registry = model, registry

    async def ask(self, question: str, *, stream: bool) -> Took:
        """One run."""
        messages = [{"role": "user", "content": question}]
        began, first, text = time.monotonic(), None, ""
        if stream:
            events = self._agent.stream(messages, self._registry, self._model)
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, Token):
                        first = first or time.monotonic() - began
                    elif isinstance(event, Done):
                        text = event.result.answer
        else:
            result = await self._agent.run(messages, self._registry, self._model)
            text = result.answer
        return Took(time.monotonic() - began, first, text, tuple(self._clock.take()))

    async def close(self) -> None:
        """Drop the connections."""
        await self._engine.close()


class Deployed:
    """The assistant over HTTP, each question in a thread of its own, which is kept."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=ANSWER_S, trust_env=False)

    async def ask(self, question: str, *, stream: bool) -> Took:
        """One request of OpenAI's protocol."""
        body = {
            "model": "live", "messages": [{"role": "user", "content": question}], "stream": stream,
            "max_tokens": MAX_TOKENS, "temperature": 0,
        }  # fmt: skip
        path, headers = "/v1/chat/completions", {"X-Thread-Id": uuid4().hex}
        return await _post(self._http, path, json.dumps(body).encode(), headers)

    async def close(self) -> None:
        """Drop the connections."""
        await self._http.aclose()


class Direct:
    """The requests that an answer takes, one after the other, and nothing between them."""

    def __init__(self, socket: Path) -> None:
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        self._http = httpx.AsyncClient(
            transport=transport, base_url="http://engine", timeout=ANSWER_S, trust_env=False
        )
        self.bodies: dict[tuple[str, bool], list[bytes]] = {}
        """By question and whether it is streamed: what an agent sent for it."""

    async def ask(self, question: str, *, stream: bool) -> Took:
        """The bodies again."""
        total, first, text = 0.0, None, ""
        for body in self.bodies[question, stream]:
            took = await _post(self._http, "/v1/chat/completions", body, {})
            if took.first is not None and first is None:
                first = total + took.first
            total, text = total + took.total, took.text
        return Took(total, first, text)

    async def close(self) -> None:
        """Drop the connections."""
        await self._http.aclose()


class CreateAgent:
    """LangChain's agent. ConfigError where langchain is not installed."""

    def __init__(self, socket: Path, model: str, registry: Registry) -> None:
        import httpx2

        self._clock = Clock(httpx2, socket)
        self._http = httpx2.AsyncClient(transport=self._clock.transport, timeout=ANSWER_S)
        self._thread = ""
        self._agent = create_agent_on(self._http, model, registry, lambda: self._thread)

    async def ask(self, question: str, *, stream: bool) -> Took:
        """One run of its graph."""
        self._thread = uuid4().hex
        asked = {"messages": [{"role": "user", "content": question}]}
        began, first, text = time.monotonic(), None, ""
        if stream:
            async for piece, _ in self._agent.astream(asked, stream_mode="messages"):
                if piece.type == "AIMessageChunk" and piece.text:
                    first = first or time.monotonic() - began
                    text += piece.text
                elif piece.type == "tool":
                    # What was said before a call is not part of the answer.
                    text = ""
        else:
            text = (await self._agent.ainvoke(asked))["messages"][-1].text
        return Took(time.monotonic() - began, first, text, tuple(self._clock.take()))

    async def close(self) -> None:
        """Drop the connections."""
        await self._http.aclose()


def create_agent_on(
    http: Any, model: str, registry: Registry, thread: Callable[[], str], checkpointer: Any = None
) -> Any:
    """`create_agent` with the tools of a registry, each called in the world of `thread()`."""
    try:
        from langchain.agents import create_agent
    except ModuleNotFoundError as error:
        raise ConfigError(
            "the benchmark needs langchain, whose agent it compares with",
            "install the extra `dev`, as `make install` does",
        ) from error
    from langchain_core.tools import StructuredTool
    from langchain_openai import ChatOpenAI

    def wrapped(name: str) -> Any:
        async def call(**arguments: Any) -> str:
            given = json.dumps(arguments)
            return (await registry.call(name, given, CallContext(thread()))).text

        return call

    tools = [
        StructuredTool(
            name=spec.name, description=spec.description, args_schema=spec.parameters,
            coroutine=wrapped(spec.name),
        )
        for spec in registry.specs()
    ]  # fmt: skip
    chat = ChatOpenAI(
        model=model, base_url="http://engine/v1", api_key=lambda: "none", http_async_client=http,
        temperature=0.0, max_completion_tokens=MAX_TOKENS, max_retries=0, stream_usage=True,
    )  # fmt: skip
    return create_agent(chat, tools, system_prompt=SYSTEM, checkpointer=checkpointer)


async def _post(http: httpx.AsyncClient, path: str, body: bytes, headers: dict[str, str]) -> Took:
    """One request, whole or streamed as its body says, read as a plain client reads it."""
    headers = headers | {"content-type": "application/json"}
    began, first, text = time.monotonic(), None, ""
    async with http.stream("POST", path, content=body, headers=headers) as reply:
        reply.raise_for_status()
        if "event-stream" not in reply.headers.get("content-type", ""):
            text = json.loads(await reply.aread())["choices"][0]["message"]["content"] or ""
        else:
            async for line in reply.aiter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                choices = json.loads(line[6:])["choices"]
                if choices and (piece := choices[0]["delta"].get("content")):
                    first = first or time.monotonic() - began
                    text += piece
    return Took(time.monotonic() - began, first, text)
