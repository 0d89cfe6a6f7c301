"""What goes to and comes from vLLM, as data: replies, deltas, and how they are read off the wire.

Opens no connection. `agent.engine` is the only module that sends and receives these.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool call as the model wrote it. `arguments` is raw text and may not be JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reply:
    """One finished chat answer. `model` is the name that the engine says answered."""

    content: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    model: str


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer: text, or a piece of the tool call number `tool_index`.

    `tool_name` is set once per call; `arguments` are fragments to be joined.
    """

    text: str = ""
    tool_index: int | None = None
    tool_id: str = ""
    tool_name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class TopLogprobs:
    """The likeliest next tokens, best first: `token_ids[i]` has natural log-probability
    `logprobs[i]`."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Generation:
    """One raw completion. `token_ids[i]` was drawn with log-probability `logprobs[i]`."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: str
    prompt_tokens: int
    model: str


@dataclass(frozen=True, slots=True)
class Length:
    """How long a prompt is, and how long prompt and answer together may be. In tokens."""

    tokens: int
    window: int


@dataclass(frozen=True, slots=True)
class PromptLogprobs:
    """Log-probabilities of a prompt's own tokens.

    `token_ids` are all of its tokens. `logprobs[i]` is that of `token_ids[i + 1]` after those
    before it, and `tops[i]` has the likeliest tokens at that place and this one, by id.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    tops: tuple[Mapping[int, float], ...]


def read_reply(body: Mapping[str, Any]) -> Reply:
    """A `/v1/chat/completions` answer. KeyError, TypeError or IndexError when it is not one."""
    choice = body["choices"][0]
    message = choice["message"]
    usage = body.get("usage") or {}
    return Reply(
        content=_text(message.get("content")),
        tool_calls=tuple(
            ToolCall(c.get("id") or f"call-{place}", c["function"]["name"], _raw(c["function"]))
            for place, c in enumerate(message.get("tool_calls") or ())
        ),
        finish_reason=choice.get("finish_reason") or "",
        prompt_tokens=usage.get("prompt_tokens") or 0,
        completion_tokens=usage.get("completion_tokens") or 0,
        model=body["model"],
    )


def _text(content: Any) -> str:
    """The words of a message; some endpoints give them in parts, with thoughts between them."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content)
    return content or ""


def _raw(function: Mapping[str, Any]) -> str:
    """Arguments as text; some endpoints have read them already."""
    arguments = function.get("arguments") or ""
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def read_json(body: bytes) -> Any:
    """JSON of an engine. Half a surrogate pair, which models do write and no file or digest can
    hold, becomes U+FFFD. ValueError when it is none."""
    value = json.loads(body)
    if b"\\ud" not in body.lower():
        return value
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def read_generation(body: Mapping[str, Any]) -> Generation:
    """A `/v1/completions` answer asked with log-probabilities and tokens as ids."""
    choice = body["choices"][0]
    logprobs = choice.get("logprobs") or {}
    return Generation(
        text=choice["text"],
        token_ids=tuple(token_id(t) for t in logprobs.get("tokens") or ()),
        logprobs=tuple(float(p) for p in logprobs.get("token_logprobs") or ()),
        finish_reason=choice.get("finish_reason") or "",
        prompt_tokens=(body.get("usage") or {}).get("prompt_tokens", 0),
        model=body["model"],
    )


def read_length(body: Mapping[str, Any]) -> Length:
    """A `/tokenize` answer."""
    return Length(int(body["count"]), int(body["max_model_len"]))


def read_top(body: Mapping[str, Any], k: int) -> TopLogprobs:
    """The first generated position of a `/v1/completions` answer, its `k` likeliest tokens."""
    top = body["choices"][0]["logprobs"]["top_logprobs"][0]
    # Equal values are ordered by id, or two runs of one model would differ.
    ranked = sorted(((token_id(t), float(p)) for t, p in top.items()), key=lambda x: (-x[1], x[0]))
    return TopLogprobs(tuple(t for t, _ in ranked[:k]), tuple(p for _, p in ranked[:k]))


def read_prompt(body: Mapping[str, Any]) -> PromptLogprobs:
    """A `/v1/completions` answer asked with log-probabilities of the prompt and token ids."""
    choice = body["choices"][0]
    ids = tuple(int(token) for token in choice["prompt_token_ids"])
    # The first token comes after nothing: vLLM gives null for it.
    tops = tuple(
        {int(token): float(entry["logprob"]) for token, entry in place.items()}
        for place in choice["prompt_logprobs"][1:]
    )
    given = zip(ids[1:], tops, strict=True)
    return PromptLogprobs(ids, tuple(top[token] for token, top in given), tops)


def token_id(text: str) -> int:
    """17 from vLLM's `token_id:17`."""
    return int(text.removeprefix("token_id:"))


def read_metrics(text: str) -> dict[str, float]:
    """Prometheus text as totals by sample name, summed over labels. Histogram buckets are left
    out; their `_sum` and `_count` are in."""
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith(("_bucket", "_created")):
                totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
    return totals


@dataclass(slots=True)
class Assembly:
    """Builds the final Reply of a stream out of its chunks."""

    model: str
    text: list[str] = field(default_factory=list)
    calls: dict[int, list[str]] = field(default_factory=dict)
    """By tool index: id, name, then argument fragments."""
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, chunk: Mapping[str, Any]) -> list[Delta]:
        """Take in one chunk and give the deltas it holds (none for roles and usage)."""
        if usage := chunk.get("usage"):
            self.prompt_tokens = usage.get("prompt_tokens", 0)
            self.completion_tokens = usage.get("completion_tokens", 0)
        self.model = chunk.get("model") or self.model
        deltas: list[Delta] = []
        for choice in chunk.get("choices") or ():
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            delta = choice.get("delta") or {}
            if text := delta.get("content"):
                self.text.append(text)
                deltas.append(Delta(text=text))
            deltas.extend(self._call(call) for call in delta.get("tool_calls") or ())
        return deltas

    def _call(self, call: Mapping[str, Any]) -> Delta:
        function = call.get("function") or {}
        index = call.get("index", 0)
        delta = Delta(
            tool_index=index,
            tool_id=call.get("id") or "",
            tool_name=function.get("name") or "",
            arguments=function.get("arguments") or "",
        )
        parts = self.calls.setdefault(index, ["", ""])
        # Some parsers repeat the id and name on every fragment: the first ones count.
        parts[0] = parts[0] or delta.tool_id
        parts[1] = parts[1] or delta.tool_name
        parts.append(delta.arguments)
        return delta

    def reply(self) -> Reply:
        """The whole answer."""
        calls = (self.calls[i] for i in sorted(self.calls))
        return Reply(
            content="".join(self.text),
            tool_calls=tuple(ToolCall(c[0], c[1], "".join(c[2:])) for c in calls),
            finish_reason=self.finish_reason,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            model=self.model,
        )


def error_words(body: bytes) -> str:
    """What the engine said was wrong, from its JSON error or its plain text."""
    text = body.decode(errors="replace").strip()
    try:
        value = json.loads(text)
    except ValueError:
        return text[:500]
    if isinstance(value, dict):
        inner = value.get("error", value)
        if isinstance(inner, dict):
            return str(inner.get("message") or inner.get("detail") or inner)
        return str(inner)
    return text[:500]
