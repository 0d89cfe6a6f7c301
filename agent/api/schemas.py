"""What a chat request may hold: OpenAI's fields, as far as an agent can honour them.

A field that would change the answer and cannot be honoured is refused, never ignored; fields that
change nothing (user, store, service_tier, ...) are passed over. Parsed by `agent.api.openai`.
"""

import re
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from agent.engine import Sampling
from agent.history import Wire
from agent.runs import Options

_THREAD = re.compile(r"[\w.:@-]{1,128}")
_REFUSED = ("tools", "functions", "response_format", "logprobs", "top_logprobs", "logit_bias")
_HARMLESS = {"response_format": {"type": "text"}}


class Part(BaseModel):
    """One part of a message's content. Text is the only kind that the agent reads."""

    type: Literal["text"]
    text: str


class FunctionCall(BaseModel):
    """What was called, with its arguments as JSON text."""

    name: str
    arguments: str = "{}"


class Call(BaseModel):
    """A tool call of an earlier assistant message."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class ChatMessage(BaseModel):
    """One message. `developer` is another word for `system`."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> "ChatMessage":
        if self.role == "tool" and not self.tool_call_id:
            raise ValueError("a tool message needs tool_call_id")
        if self.role in ("user", "tool") and self.content is None:
            raise ValueError(f"a {self.role} message needs content")
        return self

    def wire(self) -> Wire:
        """The message as the engine takes it."""
        content = self.content or ""
        if not isinstance(content, str):
            content = "".join(part.text for part in content)
        role = "system" if self.role == "developer" else self.role
        message: Wire = {"role": role, "content": content}
        if self.role == "assistant" and self.tool_calls:
            message["tool_calls"] = [call.model_dump() for call in self.tool_calls]
        if self.role == "tool":
            message["tool_call_id"] = self.tool_call_id
        return message


class StreamOptions(BaseModel):
    """Whether a last chunk tells the tokens used."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """The body of POST /v1/chat/completions."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    seed: int | None = None
    stop: str | list[str] | None = None
    n: Literal[1] | None = None
    metadata: dict[str, Any] | None = None
    thread_id: str | None = None
    """Ours: the thread that the server keeps. Also `metadata.thread_id`, or X-Thread-Id."""

    @model_validator(mode="before")
    @classmethod
    def _honoured(cls, body: Any) -> Any:
        for name in _REFUSED if isinstance(body, dict) else ():
            if body.get(name) and body[name] != _HARMLESS.get(name):
                raise ValueError(f"{name} is not supported; the agent brings its own tools")
        return body

    @field_validator("thread_id")
    @classmethod
    def _thread_id(cls, value: str | None) -> str | None:
        return checked_thread(value)

    def thread(self, header: str | None) -> str | None:
        """The thread asked for, in the body before the header. ValueError when it is no name."""
        metadata = self.metadata or {}
        named = self.thread_id or metadata.get("thread_id") or metadata.get("thread") or header
        return checked_thread(named)

    def options(self, temperature: float, *, named: bool) -> Options:
        """How this run differs from the settings, of which `temperature` is the usual one."""
        sampling: Sampling = {"temperature": temperature}
        if self.temperature is not None:
            sampling["temperature"] = self.temperature
        if self.seed is not None:
            sampling["seed"] = self.seed
        if self.stop:
            sampling["stop"] = [self.stop] if isinstance(self.stop, str) else self.stop
        return Options(self.max_completion_tokens or self.max_tokens, sampling, named)

    def wire(self) -> list[Wire]:
        """All messages as the engine takes them."""
        return [message.wire() for message in self.messages]


def checked_thread(name: Any) -> str | None:
    """The name of a thread, None for none. ValueError when it cannot be one."""
    if not name:
        return None
    if not isinstance(name, str) or not _THREAD.fullmatch(name):
        raise ValueError("a thread is named by 1 to 128 letters, digits or . : @ _ -")
    return name


def new_messages(messages: list[Wire]) -> list[Wire]:
    """What follows the last answer: clients that send the whole conversation with a thread would
    otherwise say everything twice."""
    answers = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    return messages[answers[-1] + 1 :] if answers else messages
