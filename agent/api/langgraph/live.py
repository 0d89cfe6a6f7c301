"""Runs under way: what each has streamed so far, who listens, and how it is stopped.

A run belongs to nobody's connection: clients follow it, leave and come back. The book is kept in
memory; how runs ended is in the store. Knows no agent; agent.api.langgraph.performing does the
work.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Literal

from agent.api.langgraph.parts import Sent
from store.thread_runs import ThreadRun

Stop = Literal["interrupt", "rollback"]
"""How a run is cancelled: what it did stays in its thread, or is taken back."""
KEPT = 32
"""Ended runs whose streams can still be read from their beginning, of those that asked for it."""


class LiveRun:
    """One run, from its start until nobody needs its stream any more."""

    def __init__(self, record: ThreadRun, *, resumable: bool, kept: bool) -> None:
        """`kept` is whether its thread is."""
        self.record = record
        self.resumable = resumable
        self.kept = kept
        self.stop: Stop = "interrupt"
        self.values: Any = {}
        """The thread's values when it had ended, or what went wrong."""
        self.task: asyncio.Task[None] | None = None
        self.closing = False
        """Its work is over, and how it went is being written down."""
        self.done = asyncio.Event()
        self.sent: list[Sent] = []
        self._news = asyncio.Event()

    def tell(self, event: str, data: Any) -> None:
        """Add a part to the stream."""
        self.sent.append((event, data))
        self._wake()

    def end(self) -> None:
        """Nothing comes any more."""
        self.done.set()
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def follow(
        self, place: int, beat_s: float
    ) -> AsyncGenerator[tuple[int, Sent] | None, None]:
        """The parts from `place` on, until the run has ended. None after `beat_s` of silence."""
        while True:
            while place < len(self.sent):
                yield place, self.sent[place]
                place += 1
            if self.done.is_set():
                return
            news = self._news
            try:
                await asyncio.wait_for(news.wait(), beat_s)
            except TimeoutError:
                yield None

    def leave(self) -> None:
        """Stop it without waiting: nobody wants the rest."""
        if not self.closing and self.task is not None:
            self.task.cancel()

    async def cancel(self, how: Stop = "interrupt") -> None:
        """Stop it and wait until it has stopped; nothing where it has ended."""
        if self.done.is_set():
            return
        self.stop = how
        self.leave()
        await self.done.wait()


class RunBook:
    """The runs under way in this process, and the last ones that can be read again."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, LiveRun] = OrderedDict()

    def add(self, run: LiveRun) -> None:
        """Take a run in."""
        self._runs[run.record.id] = run

    def drop(self, run: LiveRun) -> None:
        """Forget a run."""
        self._runs.pop(run.record.id, None)

    def left(self, run: LiveRun) -> None:
        """It has ended: forget it, or the oldest of those that can be read again."""
        if not run.resumable:
            self.drop(run)
        ended = [one for one in self._runs.values() if one.done.is_set()]
        for one in ended[: max(0, len(ended) - KEPT)]:
            del self._runs[one.record.id]

    def find(self, thread: str, id: str) -> LiveRun | None:
        """A run of that thread, None where the book has it not (any more)."""
        run = self._runs.get(id)
        return run if run is not None and run.record.thread == thread else None

    def on(self, thread: str) -> list[LiveRun]:
        """The runs of a thread that have not ended, the oldest first."""
        there = self._runs.values()
        return [run for run in there if run.record.thread == thread and not run.done.is_set()]

    def under_way(self) -> list[LiveRun]:
        """All runs that have not ended, the oldest first."""
        return [run for run in self._runs.values() if not run.done.is_set()]

    async def close(self) -> None:
        """Stop all that is under way."""
        for run in self.under_way():
            with suppress(asyncio.CancelledError):
                await run.cancel()
