"""Asks versions every item of a suite and writes down what came of it.

Decoding is fixed. An engine fault becomes an outcome with `error` set, never a score. Decides
nothing (that is adapt.gate) and stores nothing. Called by the cycle and the command line; how one
item is played is in adapt.evals.asking.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Protocol

from adapt.evals.asking import Asker, Decoding, Played, decoding_of
from adapt.evals.items import Item, Suite
from agent.config import Settings
from agent.fleet import Inference
from store.evidence import EvalReport, ItemOutcome
from store.records import digest_of, utc_now

__all__ = ["CONCURRENCY", "Decoding", "Journal", "Progress", "ask_suite", "decoding_of",
           "run_suite"]  # fmt: skip

Progress = Callable[[int, int], None]
"""(items done, items in all)."""
CONCURRENCY = 64
"""Items under way at once: enough to fill the engine's batch."""


class Journal(Protocol):
    """Where finished items are kept at once, so that a killed run goes on behind them."""

    def known(self) -> Mapping[str, ItemOutcome]:
        """Outcomes without faults of an earlier part of this run, by item digest."""
        ...

    def add(self, item: Item, outcome: ItemOutcome, played: Played | None, seconds: float) -> None:
        """Keep one finished item with all that was said."""
        ...


async def run_suite(
    engine: Inference,
    suite: Suite,
    version: str,
    *,
    settings: Settings | None = None,
    concurrency: int = CONCURRENCY,
    decoding: Decoding | None = None,
    progress: Progress | None = None,
) -> EvalReport:
    """Ask `version` every item, at most `concurrency` at once; outcomes are in the suite's order.

    `decoding` defaults to `decoding_of(settings)`. Engine faults are in the outcomes.
    """
    decoding = decoding or (decoding_of(settings) if settings else Decoding())
    asker = Asker(engine, version, decoding)

    def count(done: int, outcome: ItemOutcome) -> None:
        if progress:
            progress(done, len(suite.items))

    return await ask_suite(asker, suite, concurrency=concurrency, seen=count)


async def ask_suite(
    asker: Asker,
    suite: Suite,
    *,
    concurrency: int = CONCURRENCY,
    known: Mapping[str, ItemOutcome] | None = None,
    journal: Journal | None = None,
    seen: Callable[[int, ItemOutcome], None] | None = None,
) -> EvalReport:
    """Ask every item whose outcome is not `known` yet (by digest); `journal` knows those it holds.

    `seen` is called with the number of finished items and each outcome as it comes, those known
    first.
    """
    started = time.monotonic()
    known = {**(known or {}), **(journal.known() if journal else {})}
    outcomes: dict[int, ItemOutcome] = {}
    for place, item in enumerate(suite.items):
        if item.digest in known:
            outcomes[place] = known[item.digest]
            if seen:
                seen(len(outcomes), known[item.digest])
    todo = [(place, item) for place, item in enumerate(suite.items) if place not in outcomes]
    waiting: Iterator[tuple[int, Item]] = iter(todo)

    async def work() -> None:
        # Workers on one iterator: a task per item would hold all items' state at once.
        for place, item in waiting:
            began = time.monotonic()
            outcomes[place], played = await asker.ask(item)
            if journal:
                journal.add(item, outcomes[place], played, time.monotonic() - began)
            if seen:
                seen(len(outcomes), outcomes[place])

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(todo))):
            group.create_task(work())
    return make_report(
        suite, asker.model, asker.decoding, tuple(outcomes[i] for i in range(len(suite.items))),
        {"concurrency": concurrency, "seconds": round(time.monotonic() - started, 3)},
    )  # fmt: skip


def make_report(
    suite: Suite, version: str, decoding: Decoding, outcomes: tuple[ItemOutcome, ...],
    engine: dict[str, int | float],
) -> EvalReport:  # fmt: skip
    """The record. Its digest leaves out times: the same answers have the same digest."""
    body = [version, suite.digest, asdict(decoding), [o.model_dump(mode="json") for o in outcomes]]
    return EvalReport(
        digest=digest_of(body),
        version=version,
        suite=suite.name,
        suite_digest=suite.digest,
        decoding=asdict(decoding),
        engine=engine,
        outcomes=outcomes,
        created_at=utc_now(),
    )
