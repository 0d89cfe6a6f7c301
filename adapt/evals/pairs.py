"""Asks two versions the same items side by side, so that whatever happens to the engine hits both.

Answers that the live version gave before are used again, unless asking a few of them once more
shows that it answers otherwise now. Asking stops where the answers so far settle it. Decides
nothing and stores nothing. Called by the cycle's stage `evaluate`.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from adapt.evals.asking import Asker
from adapt.evals.items import Item, Suite
from adapt.evals.runner import CONCURRENCY, make_report
from store.evidence import EvalReport, ItemOutcome

WATCHED = 16
"""Known answers that are asked again before the rest is believed: with one in five answers changed,
all of them are the same as before in 3% of cases."""

Settled = Callable[[Sequence[tuple[ItemOutcome, ItemOutcome]]], bool]
"""Whether (live, candidate) outcomes of the first items settle a suite."""
Outcomes = dict[int, ItemOutcome]


@dataclass
class PairedRun:
    """Two versions under examination on one suite."""

    live: Asker
    candidate: Asker
    suite: Suite
    known: Mapping[str, ItemOutcome]
    """Earlier outcomes of the live version by item digest, none with an engine fault."""
    settled: Settled | None = None
    concurrency: int = CONCURRENCY
    progress: Callable[[int, int], None] | None = None

    async def ask(self) -> tuple[EvalReport, EvalReport]:
        """Both reports, of the same items: all of them, or the first ones where it was settled."""
        started = time.monotonic()
        known = dict(self.known)
        drifted = await self._drifted(known)
        if drifted:
            known.clear()
        live, candidate = await self._both(known)
        asked = _prefix(live, candidate)
        facts: dict[str, int | float] = {
            "concurrency": self.concurrency,
            "seconds": round(time.monotonic() - started, 3),
            "items_known": sum(self.suite.items[i].digest in known for i in range(asked)),
            "answers_changed": drifted,
        }
        return self._report(self.live, live, asked, facts), self._report(
            self.candidate, candidate, asked, facts
        )

    async def _drifted(self, known: Mapping[str, ItemOutcome]) -> int:
        """How many of a few known answers the live version gives otherwise now."""
        held = [item for item in self.suite.items if item.digest in known]
        # Drawn anew for every candidate: what drifts is not always the same.
        rng = random.Random(f"{self.suite.digest}/{self.candidate.model}")
        chosen = rng.sample(held, min(WATCHED, len(held)))
        again = await asyncio.gather(*(self.live.ask(item) for item in chosen))
        return sum(
            not same(known[item.digest], outcome)
            for item, (outcome, _) in zip(chosen, again, strict=True)
        )

    async def _both(self, known: Mapping[str, ItemOutcome]) -> tuple[Outcomes, Outcomes]:
        live: Outcomes = {}
        candidate: Outcomes = {}
        waiting: Iterator[tuple[int, Item]] = iter(enumerate(self.suite.items))
        stopped = False

        async def work() -> None:
            nonlocal stopped
            for place, item in waiting:
                if stopped:
                    return
                if item.digest in known:
                    live[place] = known[item.digest]
                    candidate[place], _ = await self.candidate.ask(item)
                else:
                    (live[place], _), (candidate[place], _) = await asyncio.gather(
                        self.live.ask(item), self.candidate.ask(item)
                    )
                if self.progress:
                    self.progress(len(candidate), len(self.suite.items))
                stopped = stopped or self._is_settled(live, candidate)

        # An item that is asked of both is two requests under way.
        whole = all(item.digest in known for item in self.suite.items)
        workers = self.concurrency if whole else self.concurrency // 2
        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, min(workers, len(self.suite.items)))):
                group.create_task(work())
        return live, candidate

    def _is_settled(self, live: Outcomes, candidate: Outcomes) -> bool:
        if self.settled is None:
            return False
        # Only whole beginnings of the suite count: the items that are answered first are those with
        # short answers, which are no fair sample.
        asked = _prefix(live, candidate)
        return self.settled([(live[i], candidate[i]) for i in range(asked)])

    def _report(
        self, asker: Asker, outcomes: Outcomes, asked: int, facts: dict[str, int | float]
    ) -> EvalReport:
        chosen = tuple(outcomes[i] for i in range(asked))
        return make_report(self.suite, asker.model, asker.decoding, chosen, facts)


def _prefix(live: Outcomes, candidate: Outcomes) -> int:
    """How many items of the beginning of the suite both have answered."""
    asked = 0
    while asked in live and asked in candidate:
        asked += 1
    return asked


def same(one: ItemOutcome, other: ItemOutcome) -> bool:
    """Whether two outcomes of one item are the same answer."""
    return (one.score, one.valid, one.answer, one.error) == (
        other.score, other.valid, other.answer, other.error,
    )  # fmt: skip
