"""What the OpenAI part of the API answers with, for the OpenAPI document and for the tests.

The answers themselves are plain dicts (agent.api.chunks, agent.api.openai): building models for
every chunk of a stream would cost more than sending it.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")


class Citation(_Answer):
    """A document that a tool answered from."""

    document: str
    """Its digest."""
    title: str
    address: str


class UrlCitation(_Answer):
    """A cited page, of the whole answer."""

    url: str
    title: str
    start_index: int
    end_index: int


class Annotation(_Answer):
    """OpenAI's shape of a citation."""

    type: Literal["url_citation"]
    url_citation: UrlCitation


class ToolUse(_Answer):
    """A tool call and the reply that the model read."""

    name: str
    arguments: Any
    result: str | None = None


class About(_Answer):
    """What is known of a run beyond OpenAI's fields; OpenAI's clients pass it over."""

    version: str
    """Which answered, from the first token to the last."""
    episode: str
    """What POST /v1/feedback needs."""
    thread: str | None
    steps: int
    """Model calls."""
    citations: list[Citation]


class AboutWhole(About):
    """The same with all tool calls."""

    tools: list[ToolUse]


class Usage(_Answer):
    """Tokens of all model calls of a run together."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AssistantMessage(_Answer):
    """The answer."""

    role: Literal["assistant"]
    content: str
    refusal: None
    annotations: list[Annotation] = Field(default_factory=list)


class Choice(_Answer):
    """There is one."""

    index: Literal[0]
    message: AssistantMessage
    logprobs: None
    finish_reason: Literal["stop", "length"]


class ChatCompletion(_Answer):
    """A finished run."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    """The version that answered."""
    choices: list[Choice]
    usage: Usage
    system_fingerprint: str
    """The version once more."""
    perennial: AboutWhole


class ToolCalled(_Answer):
    """A tool is about to be called."""

    id: str
    name: str
    arguments: str
    """The model's text."""


class ToolReplied(_Answer):
    """A tool has replied."""

    id: str
    name: str
    content: str
    ok: bool


class Activity(_Answer):
    """A tool call, or its reply, as they happen."""

    tool_call: ToolCalled | None = None
    tool_result: ToolReplied | None = None


class Delta(_Answer):
    """What is new."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(_Answer):
    """There is one, none in the chunk of the usage."""

    index: Literal[0]
    delta: Delta
    logprobs: None
    finish_reason: Literal["stop", "length"] | None


class ChatCompletionChunk(_Answer):
    """One event of a stream, which ends with `data: [DONE]`, or with an error in place of it."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    perennial: Activity | About | None = None


class Skill(_Answer):
    """A skill vector in a version, times `scale`."""

    vector: str
    """Its digest."""
    scale: float


class Lineage(_Answer):
    """Where a model comes from."""

    alias_of: str | None = None
    """Of the alias: the version that is live now."""
    number: int | None = None
    state: str | None = None
    kind: Literal["base", "adapter", "merged"] | None = None
    parent: str | None = None
    line: list[str] = Field(default_factory=list)
    """The version, its parent, and so on down to the base."""
    update: str | None = None
    """Digest of the update that made it of its parent."""
    skills: list[Skill] = Field(default_factory=list)


class Model(_Answer):
    """What can be asked."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: Literal["perennial"]
    perennial: Lineage = Lineage()


class Models(_Answer):
    """All that can be asked: the alias first."""

    object: Literal["list"]
    data: list[Model]
