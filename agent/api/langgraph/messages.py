"""Messages in LangChain's shapes, which this protocol speaks, and as a thread keeps them.

Text is the only kind of content. Pure functions, called by the other modules of this package.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agent.api.messages import ChatMessage
from agent.history import Wire, identified

Json = dict[str, Any]
_ROLES = {
    "human": "user", "user": "user", "ai": "assistant", "assistant": "assistant",
    "system": "system", "developer": "system", "tool": "tool",
}  # fmt: skip
_MESSAGE: TypeAdapter[ChatMessage] = TypeAdapter(ChatMessage)
_TYPES = {"user": "human", "assistant": "ai", "system": "system", "tool": "tool"}


def to_wire(given: Any) -> list[Wire]:
    """Messages of a client as a thread keeps them. ValueError tells what is wrong with which.

    Taken are a list or one alone: in LangChain's shape (`type`), in OpenAI's (`role`), a pair of
    role and text, or a text, which is a user's.
    """
    if not isinstance(given, list) or (
        len(given) == 2 and isinstance(given[0], str) and given[0] in _ROLES
    ):
        given = [given]
    return [_one(message, place) for place, message in enumerate(given)]


def _one(given: Any, place: int) -> Wire:
    if isinstance(given, str):
        given = {"role": "user", "content": given}
    if isinstance(given, list | tuple) and len(given) == 2:
        given = {"role": given[0], "content": given[1]}
    if not isinstance(given, Mapping):
        raise ValueError(f"messages.{place}: a message is an object, not {given!r:.40}")
    kind = str(given.get("role") or given.get("type"))
    role = _ROLES.get(kind.lower().removesuffix("messagechunk").removesuffix("message"))
    if role is None:
        raise ValueError(f"messages.{place}: there are no messages of type {kind!r:.40}")
    try:
        message = _MESSAGE.validate_python(
            {
                "role": role,
                "content": _content(given.get("content")),
                "tool_calls": [_call(call) for call in given.get("tool_calls") or ()] or None,
                "tool_call_id": given.get("tool_call_id"),
            }
        )
    except (ValidationError, AttributeError, TypeError) as error:
        raise ValueError(f"messages.{place}: {_said(error)}") from None
    id = given.get("id")
    if id is not None and not (isinstance(id, str) and len(id) <= 255):
        raise ValueError(f"messages.{place}.id: a text of at most 255 characters")
    return ({"id": id} if id else {}) | message.wire()


def _content(given: Any) -> Any:
    """Parts that are plain texts are parts, too."""
    if not isinstance(given, list):
        return given
    return [{"type": "text", "text": part} if isinstance(part, str) else part for part in given]


def _call(call: Any) -> Json:
    """A tool call of LangChain's shape or of OpenAI's."""
    if "function" in call:
        return call
    return {
        "id": call.get("id") or "",
        "function": {"name": call.get("name"), "arguments": json.dumps(call.get("args") or {})},
    }


def _said(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "its tool calls cannot be read"
    first = error.errors()[0]
    # The first part is the role, by which the shape was chosen.
    where = [str(part) for part in first["loc"][1:]]
    if where[:1] == ["content"]:
        return "content: a text, or parts of type text; there is no other kind"
    words = str(first["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(where)}: {words}" if where else words


def to_langchain(messages: Iterable[Wire]) -> list[Json]:
    """Messages of a thread in LangChain's shape. Tools' replies say which tool replied."""
    names: dict[str, str] = {}
    shaped: list[Json] = []
    for message in identified(list(messages)):
        for call in message.get("tool_calls") or ():
            names[call["id"]] = call["function"]["name"]
        shaped.append(one_to_langchain(message, names))
    return shaped


def one_to_langchain(message: Wire, names: Mapping[str, str] | None = None) -> Json:
    """One message. `names` are the tools that were called, by the ids of the calls."""
    shaped: Json = {
        "type": _TYPES[message["role"]],
        "id": message.get("id"),
        "content": message.get("content") or "",
        "additional_kwargs": {},
        "response_metadata": {},
        "name": None,
    }
    if message["role"] == "assistant":
        read = [_read(call) for call in message.get("tool_calls") or ()]
        shaped["tool_calls"] = [call for call in read if call["type"] == "tool_call"]
        shaped["invalid_tool_calls"] = [call for call in read if call["type"] != "tool_call"]
    if message["role"] == "tool":
        shaped["tool_call_id"] = message["tool_call_id"]
        shaped["name"] = (names or {}).get(message["tool_call_id"])
        shaped["status"] = "success"
    return shaped


def _read(call: Wire) -> Json:
    name, text = call["function"]["name"], call["function"]["arguments"]
    try:
        arguments = json.loads(text or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        wrong = "the arguments are no JSON object"
        return {
            "name": name, "args": text, "id": call["id"], "error": wrong,
            "type": "invalid_tool_call",
        }  # fmt: skip
    return {"name": name, "args": arguments, "id": call["id"], "type": "tool_call"}


def chunk(id: str, text: str = "", calls: Iterable[Wire] = ()) -> Json:
    """A piece of an assistant's message; clients join the pieces of one id."""
    shaped = one_to_langchain({"role": "assistant", "id": id, "tool_calls": list(calls)})
    pieces = [
        {
            "name": call["function"]["name"], "args": call["function"]["arguments"],
            "id": call["id"], "index": place, "type": "tool_call_chunk",
        }
        for place, call in enumerate(calls)
    ]  # fmt: skip
    return shaped | {"type": "AIMessageChunk", "content": text, "tool_call_chunks": pieces}
