"""The messages of a chat request: OpenAI's shapes, as far as an agent reads them.

What clients send back of earlier answers (refusal, annotations, ...) is passed over. Parsed as a
part of agent.api.schemas.
"""

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from agent.api.text import Text
from agent.history import Wire


class Part(BaseModel):
    """One part of a message's content. Text is the only kind that the agent reads."""

    type: Literal["text"]
    text: Text


class FunctionCall(BaseModel):
    """What was called, with its arguments as JSON text."""

    name: Text
    arguments: Text = "{}"


class Call(BaseModel):
    """A tool call of an earlier assistant message."""

    id: Text
    type: Literal["function"] = "function"
    function: FunctionCall


class ChatMessage(BaseModel):
    """One message. `developer` is another word for `system`."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | list[Part] | None = None
    """A user's and a tool's message needs it."""
    tool_calls: list[Call] | None = None
    tool_call_id: Text | None = Field(default=None)
    """Of the call that a tool's message answers, which needs it."""

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


def new_messages(messages: list[Wire]) -> list[Wire]:
    """What follows the last answer: clients that send the whole conversation with a thread would
    otherwise say everything twice."""
    answers = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    return messages[answers[-1] + 1 :] if answers else messages
