"""What a new run is to do, told from its request before it starts.

Asks no model and changes nothing; what is wrong with a request is found here. Called by
agent.api.langgraph.starting.
"""

from dataclasses import dataclass
from typing import Any

from agent.api.errors import ApiError
from agent.api.langgraph.messages import to_wire
from agent.api.langgraph.names import Assistant
from agent.api.langgraph.parts import StreamMode, graph_modes
from agent.api.langgraph.run_bodies import Context, RunBody
from agent.history import Wire
from agent.options import Options
from agent.state import Resume

BACKGROUND: set[StreamMode] = {"values", "updates", "messages-tuple", "custom"}
"""What a run that nobody waits for streams to those who join it."""


@dataclass(frozen=True)
class Plan:
    """One run."""

    assistant: Assistant
    ask: list[Wire] | Resume
    give_up: bool
    """Only leave what the thread's last run stopped at."""
    at: str | None
    """The checkpoint to go on from, None for the last."""
    modes: set[StreamMode]
    settings: Context
    body: RunBody

    def options(
        self, run: str, temperature: float, owner: str | None, at: str | None, *, kept: bool
    ) -> Options:
        """The same as the agent takes it, going on from the checkpoint `at`."""
        body, settings = self.body, self.settings
        return Options(
            max_tokens=settings.max_tokens,
            sampling=settings.sampling(temperature),
            named=self.assistant.pinned or settings.version is not None,
            owner=owner,
            confirms=kept,
            run_id=run,
            modes=graph_modes(self.modes),
            checkpoint=at,
            every_step=body.durability != "exit",
            stop_before=body.interrupt_before,
            stop_after=body.interrupt_after,
        )


def plan_of(body: RunBody, assistant: Assistant, usual: set[StreamMode], *, kept: bool) -> Plan:
    """What a request asks for. 400 for one that asks for nothing that can be done."""
    given = _messages(body.input, "input")
    command = body.command
    if command and given:
        raise ApiError(400, "input and command exclude each other", param="command")
    resumes = command is not None or given is None
    if resumes and not kept:
        raise ApiError(
            400, "a run without a thread begins with messages: {'input': {'messages': [...]}}",
            param="input",
        )  # fmt: skip
    more = tuple(_messages(command.update, "command.update") or ()) if command else ()
    return Plan(
        assistant=assistant,
        ask=Resume(command.resume if command else None, more) if given is None else given,
        give_up=bool(command and command.goto),
        at=body.at(),
        modes=body.modes(usual),
        settings=body.settings(),
        body=body,
    )


def _messages(values: Any, where: str) -> list[Wire] | None:
    """The messages in a state; None where there are none. Other keys are passed over."""
    if values is None:
        return None
    if not isinstance(values, dict):
        raise ApiError(400, f"{where}: an object with messages is needed", param=where)
    given = values.get("messages")
    if given is None or given == []:
        return None
    try:
        return to_wire(given)
    except ValueError as error:
        raise ApiError(400, f"{where}.{error}", param=f"{where}.messages") from error
