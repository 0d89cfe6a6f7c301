"""What a run streams, in the modes that its client asked for.

    values, updates, tasks, checkpoints, debug    LangGraph's own
    messages-tuple                                pieces of messages, each with its metadata
    messages                                      messages as far as they are written, then whole
    custom                                        the agent's events: tokens, calls, replies
    events                                        LangChain's names for the same
    tools                                         calls of tools alone

Sends nothing. Called by agent.api.langgraph.performing.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Literal, get_args

from agent.api.langgraph.messages import Json, chunk, one_to_langchain
from agent.api.langgraph.snapshots import plain, values_of
from agent.history import Wire, identified
from agent.options import Mode
from agent.state import Event, Part, Token, ToolCalled, ToolReplied

StreamMode = Literal[
    "values", "updates", "messages", "messages-tuple", "custom", "events", "tasks", "checkpoints",
    "debug", "tools", "lifecycle",
]  # fmt: skip
"""`lifecycle` is of subgraphs, of which there are none: it yields nothing."""
Sent = tuple[str, Any]
"""A part as it is sent: the event's name, and JSON."""


def graph_modes(modes: set[StreamMode]) -> tuple[Mode, ...]:
    """What has to be asked of LangGraph; messages are told from the values."""
    own: tuple[Mode, ...] = get_args(Mode)
    return tuple(mode for mode in own if mode == "values" or mode in modes)


class Shaper:
    """Shapes the events of one run. `about` goes along with messages."""

    def __init__(self, modes: set[StreamMode], thread: str, about: Json) -> None:
        self._modes, self._thread, self._about = modes, thread, about
        self._known: set[str] | None = None
        self._written: dict[str, str] = {}
        self._tools: dict[str, str] = {}
        self.values: Json = {}
        """The last state, as the client sees it."""

    def shaped(self, event: Event) -> Iterator[Sent]:
        """The parts that an event becomes, in order."""
        match event:
            case Token():
                yield from self._token(event)
            case ToolCalled() | ToolReplied():
                yield from self._tool(event)
            case Part("values", data):
                yield from self._state(data)
            case Part(mode, data):
                yield mode, plain(data, self._thread)
            case _:
                return

    def _token(self, token: Token) -> Iterator[Sent]:
        first = token.message not in self._written
        text = self._written[token.message] = self._written.get(token.message, "") + token.text
        if "messages-tuple" in self._modes:
            yield "messages", [chunk(token.message, token.text), self._from("model")]
        if "messages" in self._modes:
            if first:
                yield "messages/metadata", {token.message: {"metadata": self._from("model")}}
            yield "messages/partial", [one_to_langchain(_said(token.message, text))]
        if "custom" in self._modes:
            yield "custom", {"type": "token", "text": token.text}
        if "events" in self._modes:
            data = {"chunk": chunk(token.message, token.text)}
            yield "events", self._event("on_chat_model_stream", "model", data)

    def _tool(self, event: ToolCalled | ToolReplied) -> Iterator[Sent]:
        if "custom" in self._modes:
            yield "custom", asdict(event)
        if isinstance(event, ToolCalled):
            kind, data = "on_tool_start", {"input": event.arguments}
        else:
            kind, data = "on_tool_end", {"output": event.text, "ok": event.ok}
        if "events" in self._modes:
            yield "events", self._event(kind, event.name, data)
        if "tools" in self._modes:
            yield "tools", {
                "event": kind, "toolCallId": event.id, "name": event.name, **data,
            }  # fmt: skip

    def _state(self, state: Json) -> Iterator[Sent]:
        messages = identified(state.get("messages", []))
        if self._known is not None:
            for message in messages:
                if message["id"] not in self._known:
                    yield from self._whole(message)
        self._known = {message["id"] for message in messages}
        self.values = values_of(state)
        if "values" in self._modes:
            yield "values", self.values

    def _whole(self, message: Wire) -> Iterator[Sent]:
        """A message that is now in the thread; its text went out in pieces before."""
        calls = message.get("tool_calls") or []
        self._tools |= {call["id"]: call["function"]["name"] for call in calls}
        node = "tools" if message["role"] == "tool" else "model"
        if "messages-tuple" in self._modes:
            if message["role"] == "assistant":
                left = "" if message["id"] in self._written else message["content"]
                if left or calls:
                    yield "messages", [chunk(message["id"], left, calls), self._from(node)]
            else:
                shaped = one_to_langchain(message, self._tools)
                yield "messages", [shaped, self._from(node)]
        if "messages" in self._modes:
            if message["id"] not in self._written:
                yield "messages/metadata", {message["id"]: {"metadata": self._from(node)}}
            yield "messages/complete", [one_to_langchain(message, self._tools)]

    def _from(self, node: str) -> Json:
        return self._about | {"langgraph_node": node, "langgraph_checkpoint_ns": ""}

    def _event(self, kind: str, name: str, data: Json) -> Json:
        return {
            "event": kind, "name": name, "data": data, "run_id": self._about["run_id"],
            "metadata": self._about, "tags": [], "parent_ids": [],
        }  # fmt: skip


def _said(id: str, text: str) -> Wire:
    return {"role": "assistant", "id": id, "content": text}
