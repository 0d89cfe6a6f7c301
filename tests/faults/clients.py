"""Clients of the assistant that keep account of every request: answered, failed, or silent.

Called by the tests that break what answers.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import httpx
from faults.invariants import TALLY

How = Literal["answered", "error", "silent"]


@dataclass(frozen=True)
class Outcome:
    """How a request ended. `begun`: something of the answer had come before it ended."""

    streamed: bool
    how: How
    begun: bool
    words: str = ""


async def ask(client: httpx.AsyncClient, question: str, *, stream: bool, **more: Any) -> Outcome:
    """One request, and how it ended. A client sees a connection that breaks as an error."""
    body = {
        "model": "live", "messages": [{"role": "user", "content": question}], "stream": stream
    } | more  # fmt: skip
    text = ""
    try:
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            if not stream or response.status_code != 200:
                answer = json.loads(await response.aread())
                how: How = "answered" if response.status_code == 200 else "error"
                return Outcome(stream, how, False, json.dumps(answer, ensure_ascii=False))
            async for line in response.aiter_lines():
                if line == "data: [DONE]":
                    return Outcome(True, "answered", True, text)
                if line:
                    chunk = json.loads(line.removeprefix("data: "))
                    if "error" in chunk:
                        return Outcome(True, "error", bool(text), json.dumps(chunk))
                    for choice in chunk["choices"]:
                        text += choice["delta"].get("content") or ""
    except httpx.HTTPError as error:
        return Outcome(stream, "error", bool(text), repr(error))
    return Outcome(stream, "silent", bool(text), text)


async def ask_many(
    client: httpx.AsyncClient, count: int, meanwhile: Callable[[], Awaitable[None]]
) -> list[Outcome]:
    """So many requests at once, half of them streams, while something happens to what answers."""
    asking = [
        asyncio.create_task(ask(client, f"question {n}", stream=n % 2 == 0)) for n in range(count)
    ]
    await meanwhile()
    return await asyncio.gather(*asking)


def check_requests(outcomes: list[Outcome]) -> None:
    """None is lost: what had not begun is answered, what had begun is answered or says it broke."""
    for outcome in outcomes:
        TALLY.check(outcome.how != "silent", f"no request ends without a word: {outcome}")
        TALLY.check(outcome.how == "answered" or outcome.begun, f"it is asked again: {outcome}")
