"""What engines do wrong, in our words: refusals with a way out, answers outside the protocol.

Called by `agent.engine`, which is where foreign errors end, and by those who play on after a prompt
that was too long.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from store.errors import EngineError, EngineRefused, EngineUnavailable

FILLS = ("context length", "max_model_len", "max_tokens must be at least 1, got 0")
"""How vLLM says that a prompt leaves no room for an answer; the last for one that just fits."""
DEAD = ("EngineDeadError", "EngineCore encountered an issue")


@contextmanager
def reading(path: str) -> Iterator[None]:
    """An answer that lacks what the protocol promises is a refusal with no status."""
    try:
        yield
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise EngineRefused(
            f"the engine's answer to {path} cannot be read: {error!r}",
            "is it vLLM as in requirements/, or another server of OpenAI's protocol?",
        ) from error


def too_long(error: EngineError) -> bool:
    """Whether an engine refused a prompt for its length alone."""
    fills = any(mark in error.message for mark in FILLS)
    return isinstance(error, EngineRefused) and error.status == 400 and fills


def code_of(chunk: dict[str, Any]) -> int:
    """The status of an error that came inside a stream."""
    error = chunk["error"]
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else 500


def own_refusal(path: str, status: int, words: str) -> EngineError:
    """What vLLM refused, with a way out; a server whose core died is unavailable."""
    if any(mark in words for mark in DEAD):
        return EngineUnavailable(f"the engine died: {words}", "see its log; it is restarted")
    if any(mark in words for mark in FILLS):
        longest = re.search(r"context length is (\d+) tokens", words)
        size = f" is {longest[1]} tokens" if longest else " is full"
        return EngineRefused(
            f"the conversation is too long: the model's maximum context length{size}",
            "shorten it, lower max_tokens or raise engine.max_model_len", status,
        )  # fmt: skip
    if "max_lora_rank" in words or "LoRA rank" in words:
        hint = "raise engine.max_lora_rank"
    elif status == 404 and path.startswith("/v1/") and "lora" not in path:
        hint = "load it first; Engine.models() lists what is there"
    else:
        hint = "the engine's log has the rest"
    return EngineRefused(f"the engine refused {path} ({status}): {words}", hint, status)
