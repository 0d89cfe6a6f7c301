"""The engine client: the only thing in Perennial that speaks to vLLM.

Talks OpenAI's protocol and vLLM's adapter endpoints over one private Unix socket, or OpenAI's
protocol alone to an endpoint that is not ours (`Engine.at`, for evaluations). Starts and
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

from agent.engine_errors import code_of, own_refusal, reading
from agent.engine_remote import Remote
from agent.engine_request import Sampling, chat_body, raw_body
from agent.engine_wire import (
    Assembly,
    Delta,
    Generation,
    PromptLogprobs,
    Reply,
    ToolCall,
    TopLogprobs,
    error_words,
    read_generation,
    read_json,
    read_metrics,
    read_prompt,
    read_reply,
    read_top,
)
from store.errors import EngineError, EngineRefused, EngineUnavailable

__all__ = ["Delta", "Engine", "Generation", "PromptLogprobs", "Reply", "Sampling", "ToolCall",
           "TopLogprobs"]  # fmt: skip

Chunk = dict[str, Any]

KEPT = 16
"""Unused connections that are kept. The client looks at each of them at every request: 64 cost
eight times as much of the processor as none, and a third of the engine's throughput is left."""
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
        remote: Remote | None = None,
    ) -> None:
        """Speak over the Unix `socket`, or over `transport` (see `agent.fake_engine`) instead; to
        a `remote` endpoint see `at`."""
        self.socket = socket
        self._remote = remote
        # The pool must not be the bottleneck: the engine itself queues what it cannot run.
        limits = httpx.Limits(
            max_connections=None, max_keepalive_connections=KEPT, keepalive_expiry=IDLE_S
        )
        if remote is None and transport is None:
            transport = httpx.AsyncHTTPTransport(uds=str(socket), limits=limits)
        self._http = httpx.AsyncClient(
            transport=transport,
            limits=limits,
            base_url=remote.url if remote else "http://engine",
            headers=remote.headers if remote else None,
            # Of an environment only the proxies are meant, and never for what is on this machine.
            trust_env=remote is not None and not remote.on_this_machine,
            timeout=timeout_s,
        )

    @classmethod
    def at(
        cls,
        url: str,
        key: str = "",
        timeout_s: float = 120.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> "Engine":
        """An endpoint that is not ours, such as https://host/v1; `key` is sent and never shown.

        Only `chat`, `chat_stream` and `models` are common to all of them. ConfigError for a URL or
        a key that cannot be used.
        """
        return cls(Path("-"), transport, timeout_s, Remote.of(url, key))

    @property
    def place(self) -> str:
        """Where the engine is, for people."""
        return self._remote.url if self._remote else str(self.socket)

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
        with reading("/v1/chat/completions"):
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
        with reading("/v1/completions"):
            return read_generation(answer)

    async def top_logprobs(
        self, model: str, prompt: str | Sequence[int], k: int = 5, *, priority: int = 0
    ) -> TopLogprobs:
        """The `k` (at most 20) likeliest next tokens after a fully rendered prompt."""
        body = raw_body(model, prompt, 1, k, {"priority": priority})
        answer = await self._post("/v1/completions", body)
        with reading("/v1/completions"):
            return read_top(answer, k)

    async def prompt_logprobs(
        self, model: str, prompt: str | Sequence[int], k: int = 0, *, priority: int = 0
    ) -> PromptLogprobs:
        """Log-probabilities of the tokens of a fully rendered prompt, and of the `k` (at most 20)
        likeliest at each place."""
        body = raw_body(model, prompt, 1, 0, {"priority": priority})
        body |= {"prompt_logprobs": k, "return_token_ids": True}
        answer = await self._post("/v1/completions", body)
        with reading("/v1/completions"):
            return read_prompt(answer)

    async def models(self) -> list[str]:
        """Names that can be asked: the base model first, then the loaded adapters."""
        answer = await self._get("/v1/models")
        with reading("/v1/models"):
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
        with reading("/metrics"):
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
            response = await self._http.get(self._below(path))
        if response.status_code >= 300:
            raise self._refusal(path, response.status_code, response.content)
        return response.text

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        """POST JSON; gives the JSON answer, or the text where the engine answers in plain words."""
        with self._mapped(path):
            response = await self._http.post(self._below(path), json=body)
        if response.status_code >= 300:
            raise self._refusal(path, response.status_code, response.content)
        try:
            return read_json(response.content)
        except ValueError:
            return response.text

    def _below(self, path: str) -> str:
        return self._remote.path(path) if self._remote else path

    async def _events(self, path: str, body: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
        """POST and give the JSON of each server-sent event up to `[DONE]`."""
        with self._mapped(path):
            async with self._http.stream("POST", self._below(path), json=body) as response:
                if response.status_code >= 300:
                    raise self._refusal(path, response.status_code, await response.aread())
                async for line in response.aiter_lines():
                    if not line.startswith("data:"):
                        continue
                    data = line.removeprefix("data:").strip()
                    if data == "[DONE]":
                        return
                    with reading(path):
                        chunk: Chunk = read_json(data.encode())
                    if "error" in chunk:
                        # A failure after the first token comes inside the stream, under a 200.
                        raise self._refusal(path, code_of(chunk), data.encode())
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
            if self._remote:
                why, hint = self._remote.hidden(why), "is the URL right, and its server running?"
            else:
                hint = "is it running? `perennial doctor` tells"
            raise EngineUnavailable(
                f"the engine at {self.place} does not answer {path}: {why}", hint
            ) from error

    def _refusal(self, path: str, status: int, body: bytes) -> EngineError:
        """The engine's own words with a way out."""
        words = error_words(body)
        if self._remote is None:
            return own_refusal(path, status, words)
        said = self._remote.hidden(words) or "no words"
        return EngineRefused(
            f"{self.place} refused {self._below(path)} ({status}): {said}",
            self._remote.hint(status), status,
        )  # fmt: skip
