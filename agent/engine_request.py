"""What we ask vLLM for, as JSON bodies. Sends nothing; called by `agent.engine` only."""

from collections.abc import Sequence
from typing import Any, TypedDict


class Sampling(TypedDict, total=False):
    """How an answer is drawn. What is left out is greedy, unseeded and of priority 0."""

    temperature: float
    """0 (the default) is greedy."""
    top_p: float
    """Least share of the probability that is drawn from; 1 (the default) is all of it."""
    frequency_penalty: float
    presence_penalty: float
    """Against tokens by how often they were written, and that they were; 0 (the default) is none.
    """
    seed: int | None
    """Makes sampling at a positive temperature repeatable."""
    stop: Sequence[str] | None
    """Texts that end the answer."""
    response_format: dict[str, Any]
    """The form of the answer, in OpenAI's shape; not together with tools."""
    priority: int
    """A lower number is served earlier; a candidate under test runs at a positive one."""


_AS_GIVEN = ("top_p", "frequency_penalty", "presence_penalty", "response_format")


def chat_body(
    model: str,
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]] | None,
    max_tokens: int,
    sampling: Sampling,
) -> dict[str, Any]:
    """A `/v1/chat/completions` request. `tools=[]` means none: vLLM refuses an empty list."""
    body = _common(model, max_tokens, sampling) | {"messages": messages}
    if tools:
        body |= {"tools": tools, "tool_choice": "auto"}
    return body


def raw_body(
    model: str, prompt: str | Sequence[int], max_tokens: int, logprobs: int, sampling: Sampling
) -> dict[str, Any]:
    """A `/v1/completions` request whose tokens come back as ids with log-probabilities."""
    return _common(model, max_tokens, sampling) | {
        "prompt": prompt if isinstance(prompt, str) else list(prompt),
        "logprobs": logprobs,
        "return_tokens_as_token_ids": True,
        # The prompt is rendered already: a second BOS would change every answer.
        "add_special_tokens": False,
        "skip_special_tokens": False,
    }


def _common(model: str, max_tokens: int, sampling: Sampling) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": max_tokens,
        # Always sent: the engine's own default is not greedy.
        "temperature": sampling.get("temperature", 0.0),
    }
    if (seed := sampling.get("seed")) is not None:
        body["seed"] = seed
    if stop := sampling.get("stop"):
        body["stop"] = list(stop)
    for name in _AS_GIVEN:
        if (value := sampling.get(name)) is not None:
            body[name] = value
    if priority := sampling.get("priority"):
        body["priority"] = priority
    return body
