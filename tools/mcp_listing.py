"""What an MCP server says beside its answers, and lists of tools without what is no tool.

The `mcp` library refuses a whole list for one entry that is none, and would run the patterns of the
schemas of results, which may take for ever. Called by the two connections, tools.mcp_program and
tools.mcp_address.
"""

from collections import deque
from typing import Any

from tools.schema import usable

SAID_CHARS = 500
"""Of what a program writes beside the protocol, the end is kept for messages."""


class Aside:
    """What is learned of a server beside the protocol."""

    def __init__(self) -> None:
        self.said: deque[str] = deque(maxlen=20)
        """The last lines that its program wrote to standard error."""
        self.dropped: dict[str, str] = {}
        """Tools that are none, with what is wrong."""
        self.broke: str = ""
        """Why we ended the connection, where it was us."""

    def forget(self) -> None:
        """Begin anew, with a new connection."""
        self.said.clear()
        self.broke = ""

    def words(self) -> str:
        """The last thing that is known of why it does not work."""
        return self.broke or " ".join(self.said)[-SAID_CHARS:].strip()


def cleaned(message: Any, aside: Aside) -> Any:
    """A message without what would make a whole list of tools unreadable, or is not safe to use."""
    import mcp_types
    from pydantic import ValidationError

    result = getattr(message, "result", None)
    listed = result.get("tools") if isinstance(result, dict) else None
    if not isinstance(result, dict) or not isinstance(listed, list):
        return message
    kept: list[Any] = []
    for entry in listed:
        if not isinstance(entry, dict):
            aside.dropped[str(entry)[:64]] = f"it is no tool but {type(entry).__name__}"
            continue
        given = {"name": ""} | entry
        given.pop("outputSchema", None)
        try:
            given["inputSchema"] = usable(given.get("inputSchema"))
            mcp_types.Tool.model_validate(given, by_name=False)
            kept.append(given)
        except ValidationError as error:
            one = error.errors()[0]
            said = f"{'.'.join(map(str, one['loc']))}: {one['msg']}"[:200]
            aside.dropped[str(given["name"])[:64]] = f"it is no tool: {said}"
        except (ValueError, RecursionError) as error:
            aside.dropped[str(given["name"])[:64]] = str(error)
    return message.model_copy(update={"result": {**result, "tools": kept}})
