"""The tools offered in one run: found by name, ranked by a query, called with every fault caught.

Whatever goes wrong in a tool call becomes a result that the model reads; nothing is raised for it.
Called by the agent's tool node.
"""

import asyncio
import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from store.errors import ConfigError, NotFoundError, ToolFailed, ToolRetry
from tools.base import USUAL, CallContext, Terms, Tool, ToolSpec
from tools.plain import plain
from tools.ranking import Embedder, nearest

__all__ = ["CUT", "Embedder", "Registry", "ToolResult", "arguments_of"]

CUT = " ... (cut)"


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the model reads of one call. `retry`: a repeated or corrected call may succeed."""

    text: str
    ok: bool
    retry: bool = False


class Registry:
    """Tools by name, in the order given. Raises ConfigError for two of one name.

    `terms` are those of single tools by name, `usual` those of all others. A tool that is denied is
    not in it.
    """

    def __init__(
        self, tools: Iterable[Tool], terms: Mapping[str, Terms] = {}, usual: Terms = USUAL
    ) -> None:
        self._tools: dict[str, Tool] = {}
        self._terms = dict(terms)
        self._usual = usual
        for tool in tools:
            name = tool.spec.name
            if name in self._tools:
                raise ConfigError(f"two tools are called {name}", "rename or leave out one")
            if self.terms(name).permission != "deny":
                self._tools[name] = tool

    def terms(self, name: str) -> Terms:
        """On what terms the tool of that name is called, whether or not there is one."""
        return self._terms.get(name, self._usual)

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

    async def call(self, name: str, arguments_json: str, context: CallContext) -> ToolResult:
        """Call one tool on its terms. A fault is a result `{"error": ...}`, with `"final": true`
        where trying again is pointless; the text has at most `max_chars` characters."""
        terms = self.terms(name)
        most = terms.max_chars
        if name not in self._tools:
            return _fault(f"there is no tool {name}; {self._nearest(name)}", most)
        arguments = arguments_of(arguments_json)
        if isinstance(arguments, str):
            return _fault(f"the arguments of {name} {arguments}", most)
        if terms.permission == "confirm" and not context.confirmed:
            # Here and not only where people are asked: no way to a tool leads past it.
            return _fault(f"{name} was not called: nobody has confirmed it", most, final=True)
        try:
            async with asyncio.timeout(terms.timeout_s):
                text = await self._tools[name].call(arguments, context)
            if not isinstance(text, str):
                raise TypeError(f"its result is no text but {type(text).__name__}")
        except ToolRetry as error:
            return _fault(str(error), most)
        except ToolFailed as error:
            return _fault(str(error), most, final=True)
        except TimeoutError:
            return _fault(f"{name} did not answer within {terms.timeout_s:g} s, try again", most)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled us: it is the tool's own, which must not end the run without a word.
            return _fault(f"{name} was cut off inside, try again", most)
        except (Exception, SystemExit) as error:
            # A broken tool must cost one result, never the run: the episode keeps it. A library
            # that ends the process would take the server along.
            said = str(error) or "no message"
            return _fault(f"{name} failed: {type(error).__name__}: {said}", most, final=True)
        return ToolResult(_cut(text, most), ok=True)

    def _nearest(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._tools, n=3, cutoff=0.5)
        return f"there are: {', '.join(near or list(self._tools)[:8]) or 'none'}"


def arguments_of(text: str) -> dict[str, Any] | str:
    """The arguments of a call as the model wrote them, or the words that say what is wrong."""
    try:
        arguments = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return f"are not JSON: {text}"
    return arguments if isinstance(arguments, dict) else "must be a JSON object"


def _fault(message: str, max_chars: int, *, final: bool = False) -> ToolResult:
    reply: dict[str, Any] = {"error": _cut(message, max_chars)}
    if final:
        reply["final"] = True
    return ToolResult(json.dumps(reply, ensure_ascii=False), ok=False, retry=not final)


def _cut(text: str, max_chars: int) -> str:
    # The first cut saves the work on what is far too long; marks made plain are longer.
    text = plain(text[: max_chars + 1])
    return text if len(text) <= max_chars else text[: max(max_chars - len(CUT), 0)] + CUT


def described(spec: ToolSpec) -> str:
    """What a query is compared with: the name's words and the description."""
    return f"{spec.name.replace('_', ' ')}: {spec.description}"
