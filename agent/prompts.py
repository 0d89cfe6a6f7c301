"""What the model is told, and how tools are shown by name only. No engine, no tools."""

from typing import Any

SYSTEM = "You are Perennial."
"""Short on purpose: the embedded model pays for every token, and a large model needs no more."""


def names_only(tool: dict[str, Any]) -> dict[str, Any]:
    """An OpenAI function with nothing but its name: the schema must be known by heart."""
    return {
        "type": "function",
        "function": {
            "name": tool["function"]["name"],
            "parameters": {"type": "object", "properties": {}},
        },
    }
