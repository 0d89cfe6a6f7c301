"""What a tool is: a spec the model reads, and a call. Knows no tool by name.

Tools are kept and called by `tools.registry`; the agent never calls one directly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from store.records import Citation


@dataclass(frozen=True)
class ToolSpec:
    """What the model is told of a tool. `parameters` is the JSON schema of one object."""

    name: str
    description: str
    parameters: dict[str, Any]

    def function(self) -> dict[str, Any]:
        """The tool in OpenAI's function shape."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": self.parameters,
            },
        }


Permission = Literal["allow", "confirm", "deny"]
"""Whether a tool is called at once, after a person's yes, or never and is not shown."""


@dataclass(frozen=True)
class Terms:
    """On what terms a tool is called."""

    permission: Permission = "allow"
    timeout_s: float = 30.0
    max_chars: int = 2000
    """Most characters of one reply."""


USUAL = Terms()
"""Those of a tool of which nothing is said."""


@dataclass(frozen=True)
class CallContext:
    """Whose call it is: tools with state keep one per `thread`."""

    thread: str
    cited: list[Citation] = field(default_factory=list)
    """The documents that the run's tools answered from; a tool adds its own."""
    confirmed: bool = False
    """Whether a person has said yes to this call; only what asks them sets it."""


class Tool(Protocol):
    """One thing the agent can do."""

    @property
    def spec(self) -> ToolSpec:
        """What the model reads."""
        ...

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> str:
        """The result as text, JSON where it has structure.

        Raises ToolRetry when a repeated or corrected call may succeed, ToolFailed when none can.
        """
        ...
