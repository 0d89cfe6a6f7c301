"""Items and replies made up for the rules of calls and paths."""

import json
from collections.abc import Sequence
from typing import Any

from adapt.evals.items import Item
from adapt.evals.published.reading import as_tool
from adapt.evals.scoring.checks import mark_reply
from adapt.evals.scoring.marks import Mark
from agent.engine import Reply
from agent.engine_wire import ToolCall
from store.records import Message

Calls = Sequence[tuple[str, dict[str, Any]]]


def reply_of(content: str = "", calls: Calls = ()) -> Reply:
    """A reply of words, or of calls."""
    made = tuple(ToolCall(f"c{i}", n, json.dumps(a)) for i, (n, a) in enumerate(calls))
    return Reply(content, made, "stop", 1, 1, "m")


def item_of(kind: str = "calls", **check: Any) -> Item:
    """An item that offers f and g with parameters a and b."""
    tools = tuple(as_tool(name, "", {"properties": {"a": {}, "b": {}}}) for name in ("f", "g"))
    return Item(
        suite="s", slice="s", messages=(Message(role="user", content="q"),), tools=tools,
        check={"kind": kind, **check},
    )  # fmt: skip


def mark_of(item: Item, *calls: tuple[str, dict[str, Any]]) -> Mark:
    """The mark of a reply that makes these calls."""
    return mark_reply(item, reply_of(calls=calls))


def call(name: str, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A call of a check."""
    return {"name": name, "arguments": arguments, **more}
