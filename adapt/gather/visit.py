"""A visit to a source: what is new there is taken in and judged, the rest is noted.

Killed at any moment it is simply made again: what was noted is unchanged then, and what was taken
in and not judged yet is judged. It reads nothing by itself, and decides nothing about what a text
says: that is adapt.gather.screening. Called by adapt.gather.gathering and the worker.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import cast

from adapt.gather.protocol import Gone, Seen, SourceKind
from adapt.gather.taking import Taking, Told
from agent.config import Settings
from store import Store
from store.errors import DocumentError, PerennialError
from store.records import utc_now
from store.source_records import Place, Source, Visit

log = logging.getLogger(__name__)

Tell = Callable[[Told], None]


async def visit(
    store: Store, source: Source, kind: SourceKind, settings: Settings, tell: Tell | None = None
) -> Visit:
    """Look at a source once, take in what is new, and record it. What became of each address is
    told to `tell`.

    A source that cannot be read to its end is no error: the Visit says why, and what was seen
    before counts. Errors of the store rise.
    """
    started_at, began = utc_now(), time.monotonic()
    taking = Taking(store, source, settings, await asyncio.to_thread(store.places.of, source.name))
    error: str | None = None
    bound: str | None = None

    async def settle() -> None:
        for told in await asyncio.to_thread(taking.settle):
            if tell:
                tell(told)

    try:
        async with aclosing(told_by(kind, source, taking.known)) as seen:
            async for one in seen:
                if taking.was_told(one):
                    continue
                if taking.must_settle_before(one):
                    await settle()
                bound = taking.bound_before(one)
                if bound:
                    break
                taking.add(one)
    except DocumentError as failure:
        error = str(failure)
    await settle()
    if error is None and bound is None and kind.lists_all:
        for address in taking.untold():
            taking.add(Gone(address))
        await settle()
    made = taking.visit(started_at, time.monotonic() - began, error, bound)
    await asyncio.to_thread(store.visits.add, made)
    return made


async def told_by(
    kind: SourceKind, source: Source, known: Mapping[str, Place]
) -> AsyncGenerator[Seen, None]:
    """What a kind tells. Whatever else is wrong with it, or with a library that it reads with,
    becomes a DocumentError: one source must not end the visits to all."""
    generator = cast("AsyncGenerator[Seen, None]", kind.visit(source, known))
    try:
        # Closed at once when a bound ends the visit: it may hold connections and processes.
        async with aclosing(generator) as seen:
            async for one in seen:
                yield one
    except PerennialError:
        raise
    except Exception as error:
        log.warning("source %s cannot be read", source.name, exc_info=True)
        raise DocumentError(
            f"source {source.name}: {type(error).__name__}: {error}", "the log shows where"
        ) from error
