"""`perennial up` on a fake engine, as a process that is killed: `main(home)`.

tests/fake_runtime.py with answers that take their time, so that there is a middle to die in, and
that say all that was asked in their thread, so that what a thread has kept can be seen. Started by
faults.processes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fake_runtime import fake_runtime, settings_of

from adapt.runtime import Runtime
from adapt.show import CycleView
from adapt.up import up
from agent.config import Settings

BEGIN_S, WORDS_S = 0.5, 0.08
"""Time before an answer, and between the words of a streamed one: more than a second in all."""


def main(home: Path) -> None:
    """Serve until told to stop."""

    @asynccontextmanager
    async def opened(
        settings: Settings, progress: Callable[..., None] | None = None
    ) -> AsyncIterator[Runtime]:
        async with fake_runtime(settings, progress) as runtime:
            fake: Any = runtime.engine.members[0].engine._http._transport
            fake.answer, fake.delay_s, fake.word_delay_s = remembering, BEGIN_S, WORDS_S
            yield runtime

    with CycleView() as view:
        asyncio.run(up(settings_of(home), view, opened))


def remembering(model: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str:
    """All that was ever asked in this thread, in a dozen words at least."""
    asked = [str(m["content"]) for m in messages if m["role"] == "user"]
    return f"{model} heard " + " and ".join(asked) + " and" * 12
