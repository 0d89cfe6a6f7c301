"""Conversations in the engine's shape: how they begin, go on, get shorter, and become records.

Pure functions on lists of OpenAI chat messages (`Wire`). Called by the graph and `agent.runs`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict
from uuid import uuid4

from agent.prompts import SYSTEM
from store.records import Message

Wire = dict[str, Any]
"""One chat message as OpenAI's protocol has it; an `id` besides where a thread keeps it."""


class Memory(TypedDict):
    """What the model is shown of a long thread."""

    start: str
    """Id of the first message that it still sees."""
    summary: str
    """Of what was before; empty where it sees nothing of that."""


def continued(history: list[Wire], update: list[Wire]) -> list[Wire]:
    """The history with `update` behind it.

    A new question first drops what a failed or killed run left after the last answer: a call
    without its result breaks every chat template. Its system message replaces the earlier one, and
    a message with the id of another takes that one's place.
    """
    history, update = _replaced(identified(history), update)
    if not history or not update or update[0]["role"] not in ("system", "user"):
        return history + update
    kept = list(history)
    while kept and (kept[-1]["role"] != "assistant" or kept[-1].get("tool_calls")):
        kept.pop()
    system = [m for m in update if m["role"] == "system"]
    if system:
        kept = system + [m for m in kept if m["role"] != "system"]
    return kept + [m for m in update if m["role"] != "system"]


def identified(messages: list[Wire]) -> list[Wire]:
    """The messages of a thread, each with an id; older programs gave none, and their places in the
    thread tell them apart."""
    return [m if "id" in m else {"id": f"past-{place}", **m} for place, m in enumerate(messages)]


def _replaced(history: list[Wire], update: list[Wire]) -> tuple[list[Wire], list[Wire]]:
    """The history with messages of the update in the places of their ids, and the rest of it."""
    there = {m["id"] for m in history}
    changed = {m["id"]: m for m in update if m.get("id") in there}
    if not changed:
        return history, update
    kept = [changed.get(m["id"], m) for m in history]
    return kept, [m for m in update if m.get("id") not in changed]


USUAL: Wire = {"role": "system", "content": SYSTEM}
"""What a conversation begins with that brings no system message of its own."""


def with_system(messages: list[Wire]) -> list[Wire]:
    """The conversation as the model sees it: the usual system message unless it brings its own."""
    shown = [{k: v for k, v in m.items() if k != "id"} for m in messages]
    if shown and shown[0]["role"] == "system":
        return shown
    return [dict(USUAL), *shown]


def with_ids(messages: Sequence[Wire]) -> list[Wire]:
    """The messages, each with an id; those that have none get one."""
    return [m if m.get("id") else {"id": uuid4().hex, **m} for m in messages]


def shortened(messages: list[Wire]) -> list[Wire] | None:
    """The conversation without its oldest turn: a question and what followed.

    Of a single turn the oldest calls go, with their replies. None when only a question and the
    newest calls are left.
    """
    questions = [i for i, m in enumerate(messages) if m["role"] == "user"]
    if len(questions) > 1:
        system = [m for m in messages[: questions[1]] if m["role"] == "system"]
        return system + messages[questions[1] :]
    replies = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    if len(replies) < 2:
        return None
    return messages[: replies[0]] + messages[replies[1] :]


def last_question(messages: Sequence[Wire]) -> str:
    """The text of the last user message, empty when there is none."""
    texts = (str(m.get("content") or "") for m in reversed(messages) if m["role"] == "user")
    return next(texts, "")


def to_wire(messages: Sequence[Message | Mapping[str, Any]]) -> list[Wire]:
    """Records or OpenAI messages as the engine takes them. Calls of records get ids."""
    wire: list[Wire] = []
    waiting: list[str] = []
    for place, message in enumerate(messages):
        if not isinstance(message, Message):
            wire.append(dict(message))
            continue
        entry: Wire = {"role": message.role, "content": message.content}
        if message.tool_calls:
            waiting = [f"call-{place}-{i}" for i in range(len(message.tool_calls))]
            calls = zip(waiting, message.tool_calls, strict=True)
            entry["tool_calls"] = [_call(name, call) for name, call in calls]
        elif message.role == "tool":
            entry["tool_call_id"] = waiting.pop(0) if waiting else f"call-{place}"
        wire.append(entry)
    return wire


def to_records(messages: Sequence[Wire]) -> tuple[Message, ...]:
    """Messages as they are kept. Arguments that are not JSON stay text."""
    return tuple(
        Message(
            role=m["role"],
            content=m.get("content") or "",
            tool_calls=tuple(
                {"name": c["function"]["name"], "arguments": _parsed(c["function"]["arguments"])}
                for c in m.get("tool_calls") or ()
            ),
        )
        for m in messages
    )


def _call(id: str, call: Mapping[str, Any]) -> Wire:
    arguments = call["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": id, "type": "function", "function": {"name": call["name"], "arguments": text}}


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return arguments
