"""A stand-in for vLLM at the HTTP seam: a transport that answers as the server would.

For tests that need an engine's protocol but no model: `Engine(Path("-"), transport=FakeVllm(f))`.
Keeps the loaded adapters, records every request, answers from a function, and fails on command: it
dies, hangs, refuses, is slow, cuts a stream, or comes back without what it held.
It runs no model and checks no schema; the real server is tested in tests/agent/test_serve.py.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

Message = dict[str, Any]
Answer = Callable[[str, list[Message], list[Message]], "str | list[dict[str, Any]]"]
"""(model, messages, tools) -> text, or tool calls `{"name": ..., "arguments": dict or str}`."""
Logprobs = Callable[[str, Any], dict[int, float]]
"""(model, prompt) -> log-probability by token id of the next token."""


_POLL_S = 0.005
_WEIGHTS = ("/pause", "/resume", "/collective_rpc", "/reset_prefix_cache")


@dataclass
class FakeVllm(httpx.AsyncBaseTransport):
    """An engine without a model. Set `down` or call `fail` to break it."""

    answer: Answer
    logprobs: Logprobs = lambda model, prompt: {0: 0.0}
    served_name: str = "base"
    delay_s: float = 0.0
    """How long each chat takes: requests in flight can be made to overlap a swap."""
    word_delay_s: float = 0.0
    """Pause between streamed words: an answer cannot be over before its client has left."""
    down: bool = False
    """True: nothing answers, and what was being answered breaks off, as when the process dies."""
    hangs: bool = False
    """True: it says that it is well, and gives no token until this is False again."""
    cut_after: int | None = None
    """Words after which the next streamed answer breaks off."""
    window: int = 1 << 20
    """Messages of so many characters, or more, are too long."""
    adapters: dict[str, str] = field(default_factory=dict)
    """Path by name of what is loaded."""
    weights: str = ""
    """Folder of the weights that were put in place of the first; empty before."""
    paused: bool = False
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Every (path, body) received."""
    _failures: list[tuple[str, int, str]] = field(default_factory=list)

    def fail(self, path: str, status: int = 500, words: str = "told to fail") -> None:
        """Refuse the next request whose path ends in `path`, with the engine's error shape."""
        self._failures.append((path, status, words))

    def restart(self) -> None:
        """Be as after a start of the process: up, on the first weights, without adapters."""
        self.down = self.hangs = self.paused = False
        self.adapters.clear()
        self.weights = ""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request as vLLM would."""
        path = request.url.path
        content = await request.aread()
        body: dict[str, Any] = json.loads(content) if content else {}
        self.requests.append((path, body))
        if self.down:
            raise httpx.ConnectError("All connection attempts failed", request=request)
        for failure in self._failures:
            if path.endswith(failure[0]):
                self._failures.remove(failure)
                return _error(failure[1], failure[2])
        if path == "/health":
            return httpx.Response(200)
        if path == "/metrics":
            return httpx.Response(200, text=self._metrics())
        if path == "/v1/models":
            names = [self.served_name, *self.adapters]
            return httpx.Response(200, json={"data": [{"id": name} for name in names]})
        if path in _WEIGHTS:
            return self._weights(path, body)
        while self.paused:
            await asyncio.sleep(0.001)
        if path.endswith("lora_adapter"):
            return self._adapter(path, body)
        await self._alive(request)
        if body.get("model") not in (self.served_name, *self.adapters):
            return _error(404, f"The model `{body.get('model')}` does not exist.")
        if path == "/v1/completions":
            return self._complete(body)
        if path == "/tokenize":
            tokens = _length(body["messages"])
            return httpx.Response(200, json={"count": tokens, "max_model_len": self.window})
        if path == "/v1/chat/completions":
            return await self._chat(request, body)
        return _error(404, "Not Found")

    async def _alive(self, request: httpx.Request) -> None:
        """Wait while it hangs; ReadError when it has died meanwhile."""
        while self.hangs and not self.down:
            await asyncio.sleep(_POLL_S)
        if self.down:
            raise httpx.ReadError("Connection reset by peer", request=request)

    def _adapter(self, path: str, body: dict[str, Any]) -> httpx.Response:
        name = body["lora_name"]
        if path == "/v1/load_lora_adapter":
            if name in self.adapters:
                return _error(400, f"The lora adapter '{name}' has already been loaded.")
            self.adapters[name] = body["lora_path"]
            return httpx.Response(200, text=f"Success: LoRA adapter '{name}' added successfully.")
        if self.adapters.pop(name, None) is None:
            return _error(404, f"The lora adapter '{name}' cannot be found.")
        return httpx.Response(200, text=f"Success: LoRA adapter '{name}' removed successfully.")

    def _weights(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Whole weights in place, allowed while nothing runs."""
        if path == "/collective_rpc":
            if not self.paused:
                return _error(500, "weights were reloaded under running requests")
            self.weights = body["kwargs"]["weights_path"]
        self.paused = path != "/resume" and (self.paused or path == "/pause")
        return httpx.Response(200, json={"status": "ok"})

    def _complete(self, body: dict[str, Any]) -> httpx.Response:
        """One token: the likeliest of `logprobs`."""
        all_ = self.logprobs(body["model"], body["prompt"])
        ranked = sorted(all_.items(), key=lambda item: -item[1])
        best, value = ranked[0]
        top = {f"token_id:{t}": p for t, p in ranked[: max(body.get("logprobs") or 0, 1)]}
        logprobs = {
            "tokens": [f"token_id:{best}"],
            "token_logprobs": [value],
            "top_logprobs": [top],
        }
        choice: Message = {"text": f"<{best}>", "finish_reason": "length", "logprobs": logprobs}
        if (k := body.get("prompt_logprobs")) is not None:
            choice |= self._prompt_logprobs(body["model"], body["prompt"], k)
        usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": 1}
        return httpx.Response(
            200, json={"model": body["model"], "choices": [choice], "usage": usage}
        )

    def _prompt_logprobs(self, model: str, prompt: Any, k: int) -> Message:
        """What `logprobs` says of each place of the prompt; the tokens of a text are its letters.

        The token that is there comes first, then the `k` likeliest.
        """
        ids = [ord(letter) for letter in prompt] if isinstance(prompt, str) else list(prompt)
        places: list[Message | None] = [None]
        for place, token in enumerate(ids[1:], 1):
            all_ = self.logprobs(model, prompt[:place])
            likely = sorted(all_, key=lambda t, of=all_: -of[t])[:k]
            kept = dict.fromkeys([token, *likely])
            places.append({str(t): {"logprob": all_.get(t, -100.0)} for t in kept})
        return {"prompt_token_ids": ids, "prompt_logprobs": places}

    async def _chat(self, request: httpx.Request, body: dict[str, Any]) -> httpx.Response:
        await asyncio.sleep(self.delay_s)
        await self._alive(request)
        if _length(body["messages"]) >= self.window:
            return _error(400, f"This model's maximum context length is {self.window} tokens.")
        said = self.answer(body["model"], body["messages"], body.get("tools") or [])
        text, calls = (said, []) if isinstance(said, str) else ("", _calls(said))
        finish = "tool_calls" if calls else "stop"
        usage = {
            "prompt_tokens": _length(body["messages"]),
            "completion_tokens": len(text.split()) + len(calls),
        }
        if body.get("stream"):
            cut, self.cut_after = self.cut_after, None

            async def before(word: int) -> None:
                await asyncio.sleep(self.word_delay_s if word else 0.0)
                if word == cut:
                    raise httpx.ReadError("Connection reset by peer", request=request)
                await self._alive(request)

            stream = _Events(body["model"], text, calls, finish, usage, before)
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=stream)
        message = {"role": "assistant", "content": text or None, "tool_calls": calls}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return httpx.Response(
            200, json={"model": body["model"], "choices": [choice], "usage": usage}
        )

    def _metrics(self) -> str:
        chats = sum(path == "/v1/chat/completions" for path, _ in self.requests)
        return (
            "# TYPE vllm:num_requests_running gauge\n"
            f'vllm:num_requests_running{{model_name="{self.served_name}"}} 0.0\n'
            "# TYPE vllm:request_success_total counter\n"
            f'vllm:request_success_total{{model_name="{self.served_name}"}} {chats}\n'
        )


class _Events(httpx.AsyncByteStream):
    """A chat answer as server-sent events, a word or a piece of a call at a time."""

    def __init__(
        self, model: str, text: str, calls: list[dict[str, Any]], finish: str, usage: Message,
        before: Callable[[int], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._model, self._text, self._calls = model, text, calls
        self._finish, self._usage, self._before = finish, usage, before

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._event({"role": "assistant", "content": ""})
        for i, word in enumerate(self._text.split(" ") if self._text else []):
            await self._before(i)
            yield self._event({"content": word if i == 0 else f" {word}"})
        for index, call in enumerate(self._calls):
            whole = call["function"]["arguments"]
            half = len(whole) // 2
            head = {"name": call["function"]["name"], "arguments": whole[:half]}
            yield self._event({"tool_calls": [{**call, "index": index, "function": head}]})
            tail = {"index": index, "function": {"arguments": whole[half:]}}
            yield self._event({"tool_calls": [tail]})
        yield self._event({}, finish=self._finish)
        yield self._line({"model": self._model, "choices": [], "usage": self._usage})
        yield b"data: [DONE]\n\n"

    def _event(self, delta: Message, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return self._line({"model": self._model, "choices": [choice]})

    def _line(self, chunk: Message) -> bytes:
        return f"data: {json.dumps(chunk)}\n\n".encode()


def _length(messages: list[Message]) -> int:
    """Tokens of a prompt: one a character, and none for tools."""
    return sum(len(str(m.get("content") or "")) for m in messages)


def _calls(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tool calls in OpenAI's shape; arguments given as text stay as they are."""
    calls: list[dict[str, Any]] = []
    for i, call in enumerate(said):
        arguments = call.get("arguments", {})
        raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
        function = {"name": call["name"], "arguments": raw}
        calls.append({"id": f"call-{i}", "type": "function", "function": function})
    return calls


def _error(status: int, words: str) -> httpx.Response:
    error = {"message": words, "type": "Error", "code": status}
    return httpx.Response(status, json={"error": error})
