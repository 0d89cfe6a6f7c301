"""What a chat request may hold: OpenAI's fields, as far as an agent can honour them.

A field that would change the answer and cannot be honoured is refused, and so is one that nobody
knows; fields that change nothing (user, store, service_tier, ...) are passed over. Parsed by
`agent.api.openai`.
"""

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from agent.api.formats import ResponseFormat, for_engine
from agent.api.messages import ChatMessage
from agent.api.text import Name, Text
from agent.engine import Sampling
from agent.history import Wire
from agent.runs import Options

THREAD = r"[A-Za-z0-9_.:@-]{1,128}"
"""No other letters: it goes back in a header."""
_NO_TOOLS = "the agent brings its own tools"
_REFUSED: dict[str, tuple[str, tuple[Any, ...]]] = {
    "tools": (_NO_TOOLS, ([],)),
    "tool_choice": (_NO_TOOLS, ("auto", "none")),
    "functions": (_NO_TOOLS, ([],)),
    "function_call": (_NO_TOOLS, ("auto", "none")),
    "logprobs": ("an answer may be several model calls", (False,)),
    "top_logprobs": ("an answer may be several model calls", ()),
    "logit_bias": ("an answer may be several model calls", ({},)),
    "modalities": ("it writes text", (["text"],)),
    "audio": ("it writes text", ()),
    "moderation": ("nothing here judges texts", ()),
    "reasoning_effort": ("models here have no such setting", ()),
    "verbosity": ("models here have no such setting", ("medium",)),
    "web_search_options": (_NO_TOOLS, ()),
}
"""Why each of these is refused, and the values that ask for what is done anyway."""
_MOST = 2**31 - 1

Stop = Annotated[Text, Field(min_length=1, max_length=1000)]


class StreamOptions(BaseModel):
    """What a stream brings beside the answer."""

    include_usage: bool | None = None
    """Whether a last chunk tells the tokens used."""
    include_obfuscation: bool | None = None
    """Passed over."""


class ChatRequest(BaseModel):
    """The body of POST /v1/chat/completions."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    model: Name = Field(min_length=1, max_length=255)
    """`live`, or a version's name."""
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=_MOST)
    """Most tokens of one model call."""
    max_completion_tokens: int | None = Field(default=None, ge=1, le=_MOST)
    """The newer name of max_tokens; it counts where both are given."""
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    frequency_penalty: float | None = Field(default=None, ge=-2.0, le=2.0)
    presence_penalty: float | None = Field(default=None, ge=-2.0, le=2.0)
    seed: int | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    """Texts that end the answer; they are not in it."""
    response_format: ResponseFormat | None = None
    """The form of the answer. Tools are called before, as ever."""
    n: int | None = Field(default=None, ge=1, le=1)
    thread_id: str | None = Field(default=None, pattern=rf"^({THREAD})?$")
    """Ours: the thread that the server keeps. Also `metadata.thread_id`, or X-Thread-Id."""
    metadata: dict[str, Any] | None = None
    user: str | None = None
    """Passed over, as all that follow: they change no answer."""
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    prediction: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _honoured(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        for name, (why, harmless) in _REFUSED.items():
            value = body.get(name)
            if value is not None and value not in harmless:
                said = {"field": name, "why": why}
                raise PydanticCustomError("not_supported", "{field} is not supported: {why}", said)
        return {name: value for name, value in body.items() if name not in _REFUSED}

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
        if self.top_p is not None:
            sampling["top_p"] = self.top_p
        if self.frequency_penalty is not None:
            sampling["frequency_penalty"] = self.frequency_penalty
        if self.presence_penalty is not None:
            sampling["presence_penalty"] = self.presence_penalty
        if self.seed is not None:
            sampling["seed"] = self.seed
        if self.stop:
            sampling["stop"] = [self.stop] if isinstance(self.stop, str) else self.stop
        return Options(
            self.max_completion_tokens or self.max_tokens, sampling, named,
            answer_format=for_engine(self.response_format),
        )  # fmt: skip

    def wire(self) -> list[Wire]:
        """All messages as the engine takes them."""
        return [message.wire() for message in self.messages]


def checked_thread(name: Any) -> str | None:
    """The name of a thread, None for none. ValueError when it cannot be one."""
    if not name:
        return None
    if not isinstance(name, str) or not re.fullmatch(THREAD, name):
        raise ValueError("a thread is named by 1 to 128 letters, digits or . : @ _ -")
    return name
