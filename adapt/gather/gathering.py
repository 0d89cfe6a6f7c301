"""All sources that are due, one after the other: what is new in them becomes documents.

One that cannot be read fails alone. In order, and never two at once: which of two texts that say
the same is the first must not depend on who answers sooner. Called by adapt.cycle_learning, the
worker and the command line.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from adapt.gather.due import is_due
from adapt.gather.judging import judge_waiting
from adapt.gather.kinds import kind_of
from adapt.gather.taking import Told
from adapt.gather.visit import visit
from agent.config import Settings
from store import Store
from store.records import utc_now
from store.source_records import Source, Visit

REFUSED_TOLD = 200
"""Most refused addresses that one gathering tells by name; all of them stand in the places."""


@dataclass(frozen=True)
class Refused:
    """Something that was not taken in, and why."""

    address: str
    reason: str


@dataclass(frozen=True)
class Gathered:
    """What one gathering brought."""

    visits: tuple[Visit, ...]
    added: tuple[str, ...]
    """Digests of the texts that were new at their address, the held ones among them."""
    refused: tuple[Refused, ...]

    @property
    def known(self) -> int:
        """Addresses whose text was known."""
        return sum(visit.unchanged + visit.duplicates for visit in self.visits)


async def gather(
    store: Store, settings: Settings, progress: Callable[[str], None] | None = None
) -> Gathered:
    """Visit every source that is due. `progress` is told each address."""
    last = await asyncio.to_thread(store.visits.last)
    sources = await asyncio.to_thread(store.sources.list)
    due = [source for source in sources if is_due(source, last.get(source.name), utc_now())]
    found = await gather_from(store, due, settings, progress)
    await asyncio.to_thread(judge_waiting, store, settings)
    return found


async def gather_from(
    store: Store,
    sources: list[Source],
    settings: Settings,
    progress: Callable[[str], None] | None = None,
) -> Gathered:
    """Visit these sources, due or not."""
    added: dict[str, None] = {}
    refused: list[Refused] = []

    def tell(told: Told) -> None:
        if progress:
            progress(told.address)
        if told.change in ("added", "changed") and told.document:
            added[told.document] = None
        if told.change == "refused" and len(refused) < REFUSED_TOLD:
            refused.append(Refused(told.address, told.reason))

    visits = [
        await visit(store, source, kind_of(source, store, settings), settings, tell)
        for source in sources
    ]
    return Gathered(tuple(visits), tuple(sorted(added)), tuple(refused))
