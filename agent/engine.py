"""The engine client: the only thing in Perennial that speaks to vLLM.

Talks OpenAI's protocol and vLLM's adapter endpoints over one private Unix socket. Starts and
stops nothing (`agent.serve` does), knows no versions or aliases, repairs no answers: a tool call
whose arguments are not JSON is returned as it is. Foreign errors end here: what does not answer
is EngineUnavailable, what answers with an error is EngineRefused.

An Engine belongs to one event loop: make it and use it there.
"""

import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any, Unpack

import httpx

from agent.engine_request import Sampling, chat_body, raw_body
from agent.engine_wire import (
    Assembly,
    Delta,
    Generation,
    Reply,
    ToolCall,
    TopLogprobs,
    error_words,
    read_generation,
    read_metrics,
    read_reply,
    read_top,
)
from store.errors import EngineError, EngineRefused, EngineUnavailable

__all__ = ["Delta", "Engine", "Generation", "Reply", "Sampling", "ToolCall", "TopLogprobs"]

Chunk = dict[str, Any]
DEAD = ("EngineDeadError", "EngineCore encountered an issue")

IDLE_S = 5.0
"""How long an unused connection is kept. The engine keeps it far longer (agent.serve_command): were
both to let go at once, a request on it would be lost."""


class Engine:
    """One vLLM server. All methods raise EngineUnavailable and EngineRefused, nothing foreign."""

    def __init__(
        self,
        socket: Path,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = 120.0,
    ) -> None:
        """Speak over the Unix `socket`, or over `transport` (see `agent.fake_engine`) instead."""
        self.socket = socket
        # The pool must not be the bottleneck: the engine itself queues what it cannot run.
        limits = httpx.Limits(
            max_connections=None, max_keepalive_connections=128, keepalive_expiry=IDLE_S
        )
        self._http = httpx.AsyncClient(
            transport=transport or httpx.AsyncHTTPTransport(uds=str(socket), limits=limits),
            base_url="http://engine",
            timeout=timeout_s,
        )

    async def health(self) -> bool:
        """Whether the engine answers and says it is well. Never raises."""
        try:
            return (await self._http.get("/health", timeout=5.0)).status_code == 200
        except httpx.HTTPError:
            return False

    async def chat(
        self,
        model: str,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]] | None = None,
        *,
        max_tokens: int,
        **sampling: Unpack[Sampling],
    ) -> Reply:
        """One whole answer. `messages` and `tools` have OpenAI's shape."""
        body = chat_body(model, messages, tools, max_tokens, sampling)
        answer = await self._post("/v1/chat/completions", body)
        with _reading("/v1/chat/completions"):
            return read_reply(answer)

    async def chat_stream(
        self,
        model: str,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]] | None = None,
        *,
        max_tokens: int,
        **sampling: Unpack[Sampling],
    ) -> AsyncGenerator[Delta | Reply, None]:
        """The same answer in pieces; the last item is the whole as a Reply.

        Closing the iterator early (`aclosing`) makes the engine stop working on it.
        """
        body = chat_body(model, messages, tools, max_tokens, sampling)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        whole = Assembly(model)
        async with aclosing(self._events("/v1/chat/completions", body)) as events:
            async for chunk in events:
                for delta in whole.add(chunk):
                    yield delta
        yield whole.reply()

    async def generate(
        self,
        model: str,
        prompt: str | Sequence[int],
        *,
        max_tokens: int,
        **sampling: Unpack[Sampling],
    ) -> Generation:
        """Continue a fully rendered prompt (text or token ids); no chat template, no specials."""
        body = raw_body(model, prompt, max_tokens, 0, sampling)
        answer = await self._post("/v1/completions", body)
        with _reading("/v1/completions"):
            return read_generation(answer)

    async def top_logprobs(
        self, model: str, prompt: str | Sequence[int], k: int = 5, *, priority: int = 0
    ) -> TopLogprobs:
        """The `k` (at most 20) likeliest next tokens after a fully rendered prompt."""
        body = raw_body(model, prompt, 1, k, {"priority": priority})
        answer = await self._post("/v1/completions", body)
        with _reading("/v1/completions"):
            return read_top(answer, k)

    async def models(self) -> list[str]:
        """Names that can be asked: the base model first, then the loaded adapters."""
        answer = await self._get("/v1/models")
        with _reading("/v1/models"):
            return [entry["id"] for entry in json.loads(answer)["data"]]

    async def load_adapter(self, name: str, path: Path) -> None:
        """Make the PEFT adapter in `path` answer to `name`, which must never have been used for
        other bytes: the engine's prefix cache is keyed by the name."""
        await self._post(
            "/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(Path(path).resolve())}
        )

    async def unload_adapter(self, name: str) -> None:
        """Forget an adapter. Requests that run on it are not waited for."""
        await self._post("/v1/unload_lora_adapter", {"lora_name": name})

    async def metrics(self) -> dict[str, float]:
        """The engine's own counters and gauges, summed by name (`vllm:num_requests_running`)."""
        text = await self._get("/metrics")
        with _reading("/metrics"):
            return read_metrics(text)

    async def close(self) -> None:
        """Drop the connections. The engine goes on."""
        await self._http.aclose()

    async def __aenter__(self) -> "Engine":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _get(self, path: str) -> str:
        with self._mapped(path):
            response = await self._http.get(path)
        if response.status_code >= 400:
            raise _refusal(path, response.status_code, response.content)
        return response.text

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        """POST JSON; gives the JSON answer, or the text where the engine answers in plain words."""
        with self._mapped(path):
            response = await self._http.post(path, json=body)
        if response.status_code >= 400:
            raise _refusal(path, response.status_code, response.content)
        try:
            return response.json()
        except ValueError:
            return response.text

    async def _events(self, path: str, body: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
        """POST and give the JSON of each server-sent event up to `[DONE]`."""
        with self._mapped(path):
            async with self._http.stream("POST", path, json=body) as response:
                if response.status_code >= 400:
                    raise _refusal(path, response.status_code, await response.aread())
                async for line in response.aiter_lines():
                    if not line.startswith("data:"):
                        continue
                    data = line.removeprefix("data:").strip()
                    if data == "[DONE]":
                        return
                    with _reading(path):
                        chunk: Chunk = json.loads(data)
                    if "error" in chunk:
                        # A failure after the first token comes inside the stream, under a 200.
                        raise _refusal(path, _code(chunk), data.encode())
                    yield chunk
        raise EngineUnavailable(
            f"the engine cut its answer to {path} short", "ask again; see the engine's log"
        )

    @contextmanager
    def _mapped(self, path: str) -> Iterator[None]:
        """Turn httpx's errors into ours, here and nowhere else."""
        try:
            yield
        except httpx.TimeoutException as error:
            raise EngineUnavailable(
                f"the engine did not answer {path} within {self._http.timeout.read:g} s",
                "raise engine.request_timeout_s, or ask for fewer tokens",
            ) from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            why = str(error) or type(error).__name__
            raise EngineUnavailable(
                f"the engine at {self.socket} does not answer {path}: {why}",
                "is it running? `perennial doctor` tells",
            ) from error


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """An answer that lacks what the protocol promises is a refusal with no status."""
    try:
        yield
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise EngineRefused(
            f"the engine's answer to {path} cannot be read: {error!r}",
            "is the vLLM version the one in requirements/?",
        ) from error


def _code(chunk: Chunk) -> int:
    error = chunk["error"]
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else 500


def _refusal(path: str, status: int, body: bytes) -> EngineError:
    """The engine's own words with a way out; a server whose core died is unavailable."""
    words = error_words(body)
    if any(mark in words for mark in DEAD):
        return EngineUnavailable(f"the engine died: {words}", "see its log; it is restarted")
    if "maximum context length" in words or "max_model_len" in words:
        hint = "shorten the conversation, lower max_tokens or raise engine.max_model_len"
    elif "max_lora_rank" in words or "LoRA rank" in words:
        hint = "raise engine.max_lora_rank"
    elif status == 404 and path.startswith("/v1/") and "lora" not in path:
        hint = "load it first; Engine.models() lists what is there"
    else:
        hint = "the engine's log has the rest"
    return EngineRefused(f"the engine refused {path} ({status}): {words}", hint, status)
