"""What one run holds: the graph's state, its context, the events it streams, and its result.

The state (messages) is what a thread keeps; the context belongs to one run and is never stored.
Does nothing by itself. Used by agent.graph, its two nodes and agent.runs.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired, TypedDict
from uuid import uuid4

from opentelemetry.trace import INVALID_SPAN

from agent.engine import Reply, Sampling
from agent.fleet import Inference
from agent.history import Memory, Wire, continued
from agent.telemetry.runs import SeenRun
from agent.window import Window
from store.errors import EngineError
from store.records import Citation, Message
from tools.registry import Registry

Shown = Literal["schemas", "names", "retrieved"]
"""How tools are shown: whole schemas, names alone, or the schemas nearest to the question."""


class AgentState(TypedDict):
    """What a thread keeps, without the usual system message. Every message has an `id`."""

    messages: Annotated[list[Wire], continued]
    version: NotRequired[str]
    """Which version the last run was pinned to; one that waits for a person goes on with it."""
    memory: NotRequired[Memory]
    """What the model sees of a thread that is longer than its window."""


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
    memory: Memory | None = None
    """The thread's memory where this run has changed it."""

    def add(self, reply: Reply) -> None:
        """Count one reply of the engine that is part of the answer."""
        self.spent(reply)
        self.finish_reason = reply.finish_reason

    def spent(self, reply: Reply) -> None:
        """Count what one reply of the engine cost, and who gave it."""
        if reply.model not in self.models:
            self.models.append(reply.model)
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens


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
    answer_format: Wire | None = None
    """The form that the answer must have, as vLLM's `response_format`."""
    seen: SeenRun = field(default_factory=lambda: SeenRun("", INVALID_SPAN))
    """What is told of the run."""
    id: str = field(default_factory=lambda: uuid4().hex)
    """Of the run, and of its episode."""
    confirms: bool = False
    """Whether somebody can be asked: the thread is kept, and the caller takes interrupts."""
    window: Window = field(default_factory=Window)
    """How long prompts may be."""
    summarises: bool = False
    """Whether the model sees a summary of what it no longer sees."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run that stopped waits for. `value` is what the node gave to `interrupt()`."""

    id: str
    value: Any


@dataclass(frozen=True, slots=True)
class Waiting:
    """A thread whose last run stopped before its end, to ask or at a breakpoint."""

    version: str
    """The pinned version of that run."""
    asked: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Resume:
    """In place of messages: the thread's last run goes on from where it stopped."""

    value: Any = None
    """The answer to what was asked, or answers by the ids of the questions. None at a
    breakpoint."""
    messages: tuple[Wire, ...] = ()
    """Put behind the thread's own before that."""


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
    """Of the run and its episode."""
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    malformed: int = 0
    citations: tuple[Citation, ...] = ()
    """The documents that tools answered from, each once."""
    asked: tuple[Asked, ...] = ()
    """What it stopped to ask. `Agent.run` or `stream` with a Resume goes on."""
    stopped: bool = False
    """It has not ended: it asks, or has come to a breakpoint. There is no answer yet."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text as the model writes it."""

    text: str
    type: Literal["token"] = "token"
    message: str = field(default="", compare=False)
    """Id of the message that it is a piece of."""


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


@dataclass(frozen=True, slots=True)
class Part:
    """What LangGraph streams in a mode of its own, for callers that named it in their options."""

    mode: str
    data: Any
    type: Literal["part"] = "part"


Event = Token | ToolCalled | ToolReplied | Part | Done


def tool_message(id: str, text: str) -> dict[str, Any]:
    """A tool's reply in the engine's shape."""
    return {"id": uuid4().hex, "role": "tool", "tool_call_id": id, "content": text}
