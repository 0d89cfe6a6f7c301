"""A language model that plays the APIs, over any OpenAI-compatible endpoint.

It reads the function, recorded examples and the arguments, and writes a reply. Knows no cache and
no protocol. Called by adapt.evals.toolbench.server, which bounds its time.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.fleet import Inference
from store.errors import ToolFailed

TRIES = 3
MOST_TOKENS = 1024
_TASK = (
    "You stand in for a web API. You are given its description, some recorded replies, and the "
    "arguments of one call. Write the reply that this API would give: concrete and plausible, in "
    "the shape of the recorded replies where they are useful, of at most 200 words. Write one JSON "
    'object and nothing else: {"error": "", "response": <the reply>}.'
)


@dataclass(frozen=True)
class Simulator:
    """One pinned model behind one endpoint."""

    engine: Inference
    model: str

    async def reply(
        self, schema: Mapping[str, Any], arguments: Mapping[str, Any], examples: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The reply to one call: `error` and `response`.

        EngineError when the endpoint fails, ToolFailed when nothing it writes can be read.
        """
        call = {"description": schema["function"], "recorded": examples, "arguments": arguments}
        messages = [
            {"role": "system", "content": _TASK},
            {"role": "user", "content": json.dumps(call, ensure_ascii=False, default=str)},
        ]
        for attempt in range(TRIES):
            # Another seed each time: the same one would give the same broken reply.
            said = await self.engine.chat(
                self.model, messages, max_tokens=MOST_TOKENS, seed=attempt,
                temperature=0.5 if attempt else 0.0,
            )  # fmt: skip
            if (body := _body(said.content)) is not None:
                return body
        raise ToolFailed(f"{self.model} wrote no JSON in {TRIES} tries")


def _body(text: str) -> dict[str, Any] | None:
    """The first JSON object of a text, None where there is none with a response."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        read, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return (
        {"error": read.get("error") or "", "response": read["response"]}
        if "response" in read
        else None
    )
