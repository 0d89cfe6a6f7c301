"""What requests for runs may hold; see agent.api.langgraph.bodies."""

from typing import Any, Literal

from pydantic import Field

from agent.api.langgraph.bodies import Body, Checkpoint, Json, ThreadName
from agent.api.langgraph.parts import StreamMode
from agent.api.text import Name, Text
from agent.engine import Sampling


class Context(Body):
    """What a run may set: `context`, or `config.configurable`."""

    version: Name | None = None
    """A version by its name, in place of the assistant's."""
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    seed: int | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    stop: Text | list[Text] | None = None
    checkpoint_id: Name | None = None

    def sampling(self, temperature: float) -> Sampling:
        """How the model is asked; `temperature` is the usual one."""
        sampling: Sampling = {"temperature": temperature}
        if self.temperature is not None:
            sampling["temperature"] = self.temperature
        if self.seed is not None:
            sampling["seed"] = self.seed
        if self.stop:
            sampling["stop"] = [self.stop] if isinstance(self.stop, str) else self.stop
        return sampling


class Config(Body):
    """A run's configuration; tags and the limit of steps are the server's business."""

    configurable: Context | None = None


class Command(Body):
    """What a run that stopped is told."""

    resume: Any = None
    """The answer to what it asks, or answers by the ids of the questions."""
    update: Json | None = None
    """`messages` to put behind the thread's own."""
    goto: Literal["__end__"] | None = None
    """Give up what it stopped at. Other nodes cannot be gone to."""


Nodes = Literal["*"] | list[Literal["model", "tools"]]


class RunBody(Body):
    """A new run. `command` goes on where the last one stopped, and so does neither it nor
    `input`."""

    assistant_id: Name = Field(max_length=255)
    input: Any = None
    """An object with `messages`."""
    command: Command | None = None
    stream_mode: StreamMode | list[StreamMode] | None = None
    stream_resumable: bool = False
    """Keep the stream, so that it can be read again from any place of it."""
    metadata: Json | None = None
    config: Config | None = None
    context: Context | None = None
    checkpoint: Checkpoint | None = None
    checkpoint_id: Name | None = None
    interrupt_before: Nodes | None = None
    interrupt_after: Nodes | None = None
    multitask_strategy: Literal["reject", "interrupt", "rollback", "enqueue"] | None = None
    """What becomes of a run that is under way on the thread; unset: it is waited for."""
    if_not_exists: Literal["create", "reject"] | None = None
    on_disconnect: Literal["cancel", "continue"] | None = None
    """What becomes of the run when its client goes. Unset: it ends, unless its stream is kept."""
    on_completion: Literal["delete", "keep"] | None = None
    """What becomes of the thread of a run that named none. Unset: it is deleted."""
    after_seconds: Literal[0] | None = None
    """Runs begin at once."""
    durability: Literal["sync", "async", "exit"] | None = None
    """Whether each step leaves a checkpoint, or the whole run one."""
    webhook: None = None
    """There are none: the server calls no address that a client names."""

    def settings(self) -> Context:
        """What the run sets, `context` before `config.configurable`."""
        named = self.config.configurable if self.config else None
        given = named.model_dump(exclude_none=True) if named else {}
        if self.context:
            given |= self.context.model_dump(exclude_none=True)
        return Context.model_validate(given)

    def at(self) -> str | None:
        """The checkpoint to go on from, None for the last."""
        named = self.checkpoint.checkpoint_id if self.checkpoint else None
        return named or self.checkpoint_id or self.settings().checkpoint_id

    def modes(self, usual: set[StreamMode]) -> set[StreamMode]:
        """What is streamed."""
        if self.stream_mode is None:
            return usual
        return {self.stream_mode} if isinstance(self.stream_mode, str) else set(self.stream_mode)


class CancelBody(Body):
    """Runs to cancel: some of a thread, or all that have a status."""

    thread_id: ThreadName | None = None
    run_ids: list[Name] | None = None
    status: Literal["pending", "running", "all"] | None = None
