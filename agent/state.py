"""What one run holds: the graph's state, its context, the events it streams, and its result.

The state (messages) is what a thread keeps; the context belongs to one run and is never stored.
Does nothing by itself. Used by agent.graph, its two nodes and agent.runs.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypedDict

from agent.engine import Reply, Sampling
from agent.fleet import Inference
from agent.history import Wire, continued
from store.errors import EngineError
from store.records import Citation, Message
from tools.registry import Registry

Shown = Literal["schemas", "names", "retrieved"]
"""How tools are shown: whole schemas, names alone, or the schemas nearest to the question."""


class AgentState(TypedDict):
    """What a thread keeps, without the usual system message."""

    messages: Annotated[list[Wire], continued]


@dataclass
class Trace:
    """What happened in one run so far."""

    steps: int = 0
    """Model calls made."""
    models: list[str] = field(default_factory=list)
    """Names that answered, without repeats."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str = ""
    malformed: int = 0
    """Tool calls whose text or arguments could not be read."""
    tool_calls: int = 0
    tool_errors: int = 0
    """Tool calls that failed."""
    seconds: float = 0.0
    """Spent in model calls."""
    citations: list[Citation] = field(default_factory=list)
    """The documents that tools answered from, each once."""
    load: int = 1
    """Runs under way when this one began, itself among them."""
    fault: EngineError | None = None

    def add(self, reply: Reply) -> None:
        """Count one reply of the engine."""
        if reply.model not in self.models:
            self.models.append(reply.model)
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens
        self.finish_reason = reply.finish_reason


@dataclass(frozen=True)
class RunContext:
    """What every node of one run needs. `model` is the pinned version's name."""

    engine: Inference
    registry: Registry
    model: str
    thread: str
    tools: list[Wire]
    """Tools as shown to the model."""
    max_steps: int
    max_tokens: int
    sampling: Sampling
    streaming: bool
    trace: Trace = field(default_factory=Trace)


@dataclass(frozen=True, slots=True)
class RunResult:
    """One finished run. `models` are the distinct names that answered: `(version,)` in every run
    that got an answer."""

    version: str
    answer: str
    """Empty when the run failed or the model said nothing."""
    messages: tuple[Message, ...]
    """All that the model saw and said, the system message first."""
    steps: int
    models: tuple[str, ...]
    error: str | None = None
    """The engine's fault that ended the run."""
    fault: EngineError | None = None
    """The same, as it was raised."""
    id: str = ""
    """Of the episode."""
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    malformed: int = 0
    citations: tuple[Citation, ...] = ()
    """The documents that tools answered from, each once."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text as the model writes it."""

    text: str
    type: Literal["token"] = "token"


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A tool is about to be called. `arguments` is the model's text."""

    id: str
    name: str
    arguments: str
    type: Literal["tool_call"] = "tool_call"


@dataclass(frozen=True, slots=True)
class ToolReplied:
    """A tool has replied; the model reads `text` next."""

    id: str
    name: str
    text: str
    ok: bool
    type: Literal["tool_result"] = "tool_result"


@dataclass(frozen=True, slots=True)
class Done:
    """The last event of every stream."""

    result: RunResult
    type: Literal["done"] = "done"


Event = Token | ToolCalled | ToolReplied | Done


def tool_message(id: str, text: str) -> dict[str, Any]:
    """A tool's reply in the engine's shape."""
    return {"role": "tool", "tool_call_id": id, "content": text}
