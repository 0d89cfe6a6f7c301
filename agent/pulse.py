"""Whether an engine still works: it must give a token, not only say that it is well.

Restarts nothing. Called by agent.serve_supervisor.
"""

import asyncio
import time

from agent.fleet_member import Member
from store.errors import EngineError, EngineRefused

EVERY_S = 5.0
POLL_S = 0.1
FIRST = -1000
"""Priority: before everything that waits, or a busy engine would look like one that hangs."""


async def until_gone(member: Member, patience_s: float, every_s: float = EVERY_S) -> None:
    """Return when an engine has given no token for `patience_s`, has lost what it held, or was
    found broken. It is asked every few seconds."""
    answered = time.monotonic()
    while not member.broken.is_set():
        began = time.monotonic()
        names = await _names(member, patience_s)
        now = time.monotonic()
        if names is not None:
            answered = now
            if not member.adapters <= names:
                return
            member.seen = began
        elif now - answered >= patience_s:
            return
        with_pause = now + (every_s if names is not None else min(1.0, every_s))
        while time.monotonic() < with_pause and not member.broken.is_set():
            if names is not None and began < member.look_at <= time.monotonic():
                break
            await asyncio.sleep(min(POLL_S, every_s))


async def _names(member: Member, patience_s: float) -> set[str] | None:
    """What it serves, once it has given a token; None when it gave none in time."""
    try:
        async with asyncio.timeout(patience_s):
            # First the token: an adapter that is loaded meanwhile must not count as lost.
            await member.engine.generate(member.served, [0], max_tokens=1, priority=FIRST)
    except EngineRefused:
        # It answers, and says no: a model without the token 0, or a queue that is full.
        pass
    except (EngineError, TimeoutError):
        return None
    try:
        held = set(member.adapters)
        names = set(await member.engine.models())
    except EngineError:
        return None
    # What was loaded or let go between the two lines is not lost.
    return names | (member.adapters - held)
