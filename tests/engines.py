"""Real engine processes of a test, started and stopped."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from agent.serve import EngineProcess


@contextmanager
def healthy(process: EngineProcess) -> Iterator[EngineProcess]:
    """The engine once it answers; stopped afterwards, whatever happened."""
    try:
        process.start()
        asyncio.run(process.wait_healthy())
        yield process
    finally:
        process.stop()
