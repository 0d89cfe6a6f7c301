"""The tools offered in one run: found by name, ranked by a query, called with every fault caught.

Whatever goes wrong in a tool call becomes a result that the model reads; nothing is raised for it.
Called by the agent's tool node.
"""

import asyncio
import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from store.errors import ConfigError, NotFoundError, ToolFailed, ToolRetry
from tools.base import CallContext, Tool, ToolSpec
from tools.ranking import Embedder, nearest

__all__ = ["CUT", "Embedder", "Registry", "ToolResult"]

CUT = " ... (cut)"


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the model reads of one call. `retry`: a repeated or corrected call may succeed."""

    text: str
    ok: bool
    retry: bool = False


class Registry:
    """Tools by name, in the order given. Raises ConfigError for two of one name."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            name = tool.spec.name
            if name in self._tools:
                raise ConfigError(f"two tools are called {name}", "rename or leave out one")
            self._tools[name] = tool

    def specs(self) -> list[ToolSpec]:
        """What the model may be told, in order."""
        return [tool.spec for tool in self._tools.values()]

    def names(self) -> list[str]:
        """Names in order."""
        return list(self._tools)

    def get(self, name: str) -> Tool:
        """One tool. Raises NotFoundError naming the nearest ones."""
        if name not in self._tools:
            raise NotFoundError(f"there is no tool {name!r}", self._nearest(name))
        return self._tools[name]

    def retrieve(self, query: str, k: int, embedder: Embedder) -> list[ToolSpec]:
        """The `k` specs nearest to the query, best first; all of them when there are no more.

        By vectors and words together. Blocks while it embeds (each spec once per embedder): call it
        in a thread.
        """
        specs = self.specs()
        if len(specs) <= k:
            return specs
        best = nearest([described(spec) for spec in specs], query, k, embedder)
        return [specs[place] for place in best]

    async def call(
        self, name: str, arguments_json: str, context: CallContext, timeout_s: float, max_chars: int
    ) -> ToolResult:
        """Call one tool. A fault is a result `{"error": ...}`, with `"final": true` where trying
        again is pointless; the text has at most `max_chars` characters."""
        if name not in self._tools:
            return _fault(f"there is no tool {name}; {self._nearest(name)}", max_chars)
        try:
            arguments = json.loads(arguments_json or "{}")
        except (ValueError, RecursionError):
            return _fault(f"the arguments of {name} are not JSON: {arguments_json}", max_chars)
        if not isinstance(arguments, dict):
            return _fault(f"the arguments of {name} must be a JSON object", max_chars)
        try:
            async with asyncio.timeout(timeout_s):
                text = await self._tools[name].call(arguments, context)
            if not isinstance(text, str):
                raise TypeError(f"its result is no text but {type(text).__name__}")
        except ToolRetry as error:
            return _fault(str(error), max_chars)
        except ToolFailed as error:
            return _fault(str(error), max_chars, final=True)
        except TimeoutError:
            return _fault(f"{name} did not answer within {timeout_s:g} s, try again", max_chars)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled us: it is the tool's own, which must not end the run without a word.
            return _fault(f"{name} was cut off inside, try again", max_chars)
        except (Exception, SystemExit) as error:
            # A broken tool must cost one result, never the run: the episode keeps it. A library
            # that ends the process would take the server along.
            said = str(error) or "no message"
            return _fault(f"{name} failed: {type(error).__name__}: {said}", max_chars, final=True)
        return ToolResult(_cut(text, max_chars), ok=True)

    def _nearest(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._tools, n=3, cutoff=0.5)
        return f"there are: {', '.join(near or list(self._tools)[:8]) or 'none'}"


def _fault(message: str, max_chars: int, *, final: bool = False) -> ToolResult:
    reply: dict[str, Any] = {"error": _cut(message, max_chars)}
    if final:
        reply["final"] = True
    return ToolResult(json.dumps(reply, ensure_ascii=False), ok=False, retry=not final)


def _cut(text: str, max_chars: int) -> str:
    shown = text if len(text) <= max_chars else text[: max(max_chars - len(CUT), 0)] + CUT
    # Half a surrogate pair, as JSON may hold, can be neither sent to an engine nor stored.
    return shown.encode(errors="replace").decode()


def described(spec: ToolSpec) -> str:
    """What a query is compared with: the name's words and the description."""
    return f"{spec.name.replace('_', ' ')}: {spec.description}"
