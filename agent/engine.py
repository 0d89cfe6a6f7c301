"""The engine client: the only thing in Perennial that speaks to vLLM.

Talks OpenAI's protocol and vLLM's endpoints for adapters and weights over one private Unix socket
(or to a server of ours elsewhere, `Engine.ours_at`), or OpenAI's protocol alone to an endpoint that
is not ours (`Engine.at`, for evaluations). Starts and stops nothing (`agent.serve` does), knows no
versions or aliases, repairs no answers: a tool call whose arguments are not JSON is returned as it
is. Several engines as one are `agent.fleet`'s.

An Engine belongs to one event loop: make it and use it there.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Unpack

import httpx

from agent.engine_errors import reading
from agent.engine_http import Connection
from agent.engine_remote import Remote
from agent.engine_request import Sampling, chat_body, raw_body
from agent.engine_wire import (
    Assembly,
    Delta,
    Generation,
    Length,
    PromptLogprobs,
    Reply,
    ToolCall,
    TopLogprobs,
    read_generation,
    read_length,
    read_metrics,
    read_prompt,
    read_reply,
    read_top,
)
from store.errors import EngineError

__all__ = ["Delta", "Engine", "Generation", "Length", "PromptLogprobs", "Reply", "Sampling",
           "ToolCall", "TopLogprobs"]  # fmt: skip


class Engine(Connection):
    """One vLLM server. All methods raise EngineUnavailable and EngineRefused, nothing foreign."""

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

    @classmethod
    def ours_at(
        cls, url: str, timeout_s: float = 120.0, transport: httpx.AsyncBaseTransport | None = None
    ) -> "Engine":
        """A vLLM server of ours at a URL such as http://10.0.0.7:8000, with all its endpoints.

        ConfigError for a URL that cannot be used.
        """
        return cls(Path("-"), transport, timeout_s, Remote.ours_at(url))

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

    async def length(
        self, model: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None
    ) -> Length:
        """How long the prompt of a chat is, by the engine's own template and tokenizer."""
        body: dict[str, Any] = {"model": model, "messages": messages}
        if tools:
            body["tools"] = tools
        answer = await self._post("/tokenize", body)
        with reading("/tokenize"):
            return read_length(answer)

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

    async def reload_weights(self, path: Path) -> None:
        """Replace the weights by those of the model directory `path`, in place.

        Nothing may be running: pause first. All adapters are gone afterwards, whatever `models`
        says, and cached prefixes are of the old weights.
        """
        kwargs = {"weights_path": str(Path(path).resolve())}
        await self._post("/collective_rpc", {"method": "reload_weights", "kwargs": kwargs})

    async def pause(self) -> None:
        """Stop working; requests that are there are frozen, not dropped."""
        await self._post("/pause?mode=keep&clear_cache=true", {})

    async def resume(self) -> None:
        """Go on after a pause; nothing happens when there was none."""
        await self._post("/resume", {})

    async def forget_prefixes(self) -> None:
        """Drop cached prefixes: those of other weights would answer for the new."""
        await self._post("/reset_prefix_cache?reset_running_requests=true", {})

    async def metrics(self) -> dict[str, float]:
        """The engine's own counters and gauges, summed by name (`vllm:num_requests_running`)."""
        text = await self._get("/metrics")
        with reading("/metrics"):
            return read_metrics(text)

    async def exposition(self, timeout_s: float = 5.0) -> str | None:
        """The same as Prometheus reads it, with labels; None when it does not answer in time."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._get("/metrics")
        except (EngineError, TimeoutError):
            return None

    async def expositions(self) -> dict[str, str | None]:
        """That of this one engine, as a fleet gives it."""
        return {"engine": await self.exposition()}
