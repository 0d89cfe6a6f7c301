"""Clients that go away: work that nobody waits for any more is stopped.

Uvicorn tells of a client that went, and cancels nothing itself. Streams need none of this: theirs
are closed with the response. Called by the routes of agent.api that work for long.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

T = TypeVar("T")

GONE = 499
"""Status for the record of a request whose client did not wait; nobody gets it."""


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` gives, its errors raised; None when the client went first and it was cancelled.

    The request's body must have been read.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
