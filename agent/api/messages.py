"""The messages of a chat request: OpenAI's shapes, as far as an agent reads them.

What clients send back of earlier answers (refusal, annotations, ...) is passed over. Parsed as a
part of agent.api.schemas.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from agent.api.text import Text
from agent.history import Wire


class Part(BaseModel):
    """One part of a message's content. Text is the only kind that the agent reads."""

    type: Literal["text"]
    text: Text


Content = Text | list[Part]


class FunctionCall(BaseModel):
    """What was called, with its arguments as JSON text."""

    name: Text
    arguments: Text = "{}"


class Call(BaseModel):
    """A tool call of an earlier answer."""

    id: Text
    type: Literal["function"] = "function"
    function: FunctionCall


class SystemMessage(BaseModel):
    """What the model is told before all; `developer` is another word for `system`."""

    role: Literal["system", "developer"]
    content: Content | None = None

    def wire(self) -> Wire:
        """The message as the engine takes it."""
        return {"role": "system", "content": joined(self.content)}


class UserMessage(BaseModel):
    """A question."""

    role: Literal["user"]
    content: Content

    def wire(self) -> Wire:
        """The message as the engine takes it."""
        return {"role": "user", "content": joined(self.content)}


class AssistantMessage(BaseModel):
    """An earlier answer."""

    role: Literal["assistant"]
    content: Content | None = None
    tool_calls: list[Call] | None = None

    def wire(self) -> Wire:
        """The message as the engine takes it."""
        message: Wire = {"role": "assistant", "content": joined(self.content)}
        if self.tool_calls:
            message["tool_calls"] = [call.model_dump() for call in self.tool_calls]
        return message


class ToolMessage(BaseModel):
    """What a tool replied to an earlier call."""

    role: Literal["tool"]
    content: Content
    tool_call_id: Text = Field(min_length=1)

    def wire(self) -> Wire:
        """The message as the engine takes it."""
        return {
            "role": "tool", "content": joined(self.content), "tool_call_id": self.tool_call_id,
        }  # fmt: skip


ChatMessage = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


def joined(content: str | list[Part] | None) -> str:
    """The text of a message, its parts put together."""
    if isinstance(content, list):
        return "".join(part.text for part in content)
    return content or ""


def new_messages(messages: list[Wire]) -> list[Wire]:
    """What follows the last answer: clients that send the whole conversation with a thread would
    otherwise say everything twice."""
    answers = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    return messages[answers[-1] + 1 :] if answers else messages
