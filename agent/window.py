"""Whether a prompt fits into the model's window, known before it is sent.

The engine counts exactly, in a request of its own; it is asked only where a guess from the lengths
of earlier prompts leaves doubt. One per agent. Changes no prompt: agent.memory does.
"""

import json
from typing import Any

from agent.fleet import Inference
from store.errors import EngineError

Wire = dict[str, Any]

DOUBT = 1.25
"""A prompt may have so many times the tokens per byte of those seen before."""


class Window:
    """Knows nothing, and doubts nothing, unless it is told the `size`: most tokens of prompt and
    answer together."""

    def __init__(self, size: int | None = None) -> None:
        self.size = size
        self._dense: float | None = None
        """Most tokens per byte of the prompts seen."""

    async def tokens(
        self, engine: Inference, model: str, messages: list[Wire], tools: list[Wire] | None,
        answer: int,
    ) -> int | None:  # fmt: skip
        """The prompt's tokens where it may leave no room for an answer of at most that many; None
        where it surely does, or nobody can tell."""
        if self.size is None:
            return None
        # No tokenizer of bytes makes more tokens than there are bytes.
        guess = bytes_of(messages, tools) * min(1.0, DOUBT * (self._dense or 1.0))
        if guess <= self.room(answer):
            return None
        try:
            length = await engine.length(model, messages, tools)
        except EngineError:
            # It will say so itself when the prompt is too long, or that it is away.
            return None
        self.size = length.window
        self.saw(messages, tools, length.tokens)
        return length.tokens

    def saw(self, messages: list[Wire], tools: list[Wire] | None, tokens: int) -> None:
        """Learn from a prompt whose length is known."""
        dense = tokens / max(1, bytes_of(messages, tools))
        self._dense = max(self._dense or 0.0, dense)

    def room(self, answer: int) -> int:
        """Most tokens of a prompt that leaves enough for an answer of at most so many: all of
        them, or an eighth of the window, as few answers are as long as they may be."""
        size = self.size or 0
        return size - min(answer, size // 8)


def bytes_of(messages: list[Wire], tools: list[Wire] | None = None) -> int:
    """About how much text an engine makes of a chat."""
    return sum(
        len(json.dumps(part, ensure_ascii=False).encode(errors="replace"))
        for part in (*messages, *(tools or ()))
    )
