"""The benchmarks against themselves: gold must pass, spoiled gold must not.

A scorer that passes everything, or nothing, would go unseen in any comparison of models. Beside
that, what two agents get that look at no question. Asks no model, and the same files give the same
result. Called by the command line.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapt.evals import benchmarks
from adapt.evals.benchmarks import Case, Gold
from adapt.evals.scoring.marks import Mark
from adapt.evals.selfchecking import trivial
from adapt.evals.selfchecking.corruptions import CORRUPTIONS, spoiled
from adapt.evals.selfchecking.replaying import ONLY_CALLS, OWN, mark_of, own_cases
from store.errors import NotFoundError, UserError

Progress = Callable[[str, int], None]
"""(benchmark, items done)."""
OWN_ITEMS = 64
"""Items of each suite of the universe."""
_SHARES = frozenset({"toolbench"})
"""Kinds whose score is a share: spoiling lowers it, and does not make it 0."""
_NAMED = 20
"""Failures of one sort that are told one by one."""


@dataclass
class _Count:
    """What came of one benchmark so far."""

    name: str
    exceptions: dict[str, str]
    items: int = 0
    gold: int = 0
    listed: int = 0
    tried: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    not_applicable: dict[str, Counter[str]] = field(default_factory=dict)
    trivial: dict[str, float] = field(default_factory=lambda: dict.fromkeys(trivial.AGENTS, 0.0))
    failures: list[dict[str, str]] = field(default_factory=list)
    unnamed: Counter[str] = field(default_factory=Counter)

    def fail(self, item: str, what: str, detail: str) -> None:
        """Note a failure; of many of one sort, the first ones with their names."""
        if sum(one["what"] == what for one in self.failures) >= _NAMED:
            self.unnamed[what] += 1
            return
        self.failures.append({"benchmark": self.name, "item": item, "what": what, "detail": detail})

    def told(self) -> dict[str, Any]:
        """The counts as JSON."""
        return {
            "items": self.items,
            "gold": self.gold,
            "exceptions": self.listed,
            "corruptions": {
                corruption: {
                    "tried": self.tried[corruption],
                    "passed": self.passed[corruption],
                    "not_applicable": dict(self.not_applicable.get(corruption, {})),
                }
                for corruption in CORRUPTIONS
            },
            "trivial": {
                agent: round(total / self.items, 4) if self.items else 0.0
                for agent, total in self.trivial.items()
            },
        }


def selfcheck(
    data: Path, names: Sequence[str] = (), progress: Progress | None = None
) -> dict[str, Any]:
    """Check the named benchmarks and suites of the universe; without names, all that are here.

    Gives `ok`, `benchmarks` (by name: items, gold that passed, listed exceptions, each corruption's
    tries and passes, means of the trivial agents), `skipped` (name: why) and `failures` (benchmark,
    item, what, detail). NotFoundError: a named one is unknown or has no files.
    """
    return asyncio.run(_check_all(data, names, progress))


async def _check_all(data: Path, names: Sequence[str], progress: Progress | None) -> dict[str, Any]:
    told: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    failures: list[dict[str, str]] = []
    for name in names or (*OWN, *benchmarks.names()):
        try:
            cases, exceptions = _cases(data, name)
        except NotFoundError as error:
            if names:
                raise
            skipped[name] = error.message
            continue
        count = _Count(name, exceptions)
        await _check(count, cases, progress)
        told[name] = count.told()
        failures += count.failures
        failures += [
            {"benchmark": name, "item": "", "what": what, "detail": f"{more} more"}
            for what, more in count.unnamed.items()
        ]
    return {"ok": not failures, "benchmarks": told, "skipped": skipped, "failures": failures}


def _cases(data: Path, name: str) -> tuple[Iterable[Case], dict[str, str]]:
    """The cases of a benchmark and its exceptions. NotFoundError: no such, or no files."""
    if name in OWN:
        return own_cases(name, OWN_ITEMS), {}
    if name not in benchmarks.MODULES:
        known = ", ".join((*OWN, *benchmarks.names()))
        raise NotFoundError(f"no benchmark {name!r}", f"there are: {known}")
    benchmarks.folder_of(name, data)
    return benchmarks.cases(name, data), dict(benchmarks.find(name).exceptions)


async def _check(count: _Count, cases: Iterable[Case], progress: Progress | None) -> None:
    try:
        for case in cases:
            await _check_case(count, case)
            if progress:
                progress(count.name, count.items)
    except UserError as error:
        count.fail("", "the files cannot be read", str(error))
        return
    if not count.items:
        count.fail("", "no items", "the files hold none")


async def _check_case(count: _Count, case: Case) -> None:
    marker = _Marker(count, case)
    count.items += 1
    mark = await marker.mark(case.gold, "gold")
    count.gold += mark.score == 1.0
    if marker.name in count.exceptions:
        count.listed += 1
        if mark.score == 1.0:
            words = count.exceptions[marker.name]
            count.fail(marker.name, "a listed exception passes", words)
    elif mark.score != 1.0:
        count.fail(marker.name, "gold does not pass", mark.detail)
    for corruption in CORRUPTIONS:
        await _check_spoiled(count, marker, corruption)
    for agent, said in trivial.replies(case.item).items():
        count.trivial[agent] += (await marker.mark(said, agent)).score


async def _check_spoiled(count: _Count, marker: "_Marker", corruption: str) -> None:
    replies = spoiled(marker.case, corruption)
    if isinstance(replies, str):
        count.not_applicable.setdefault(corruption, Counter())[replies] += 1
        return
    share = marker.case.item.check["kind"] in _SHARES and corruption != "empty"
    count.tried[corruption] += 1
    for said in replies:
        mark = await marker.mark(said, corruption)
        if mark.score >= 1.0 if share else mark.score > 0.0:
            count.passed[corruption] += 1
            count.fail(marker.name, f"spoiled gold passes: {corruption}", mark.detail)
            return


class _Marker:
    """Marks replies to one item; what was played once is not played again."""

    def __init__(self, count: _Count, case: Case) -> None:
        self.case = case
        self.name = case.item.name or case.item.digest[:12]
        self._count = count
        self._known: dict[str, Mark] = {}

    async def mark(self, said: Gold, what: str) -> Mark:
        """The mark of a reply; a scorer that raises is a failure, and marks 0."""
        # A conversation takes a second, and words are no part of what is played there.
        words = "" if self.case.item.check["kind"] in ONLY_CALLS else said.content
        key = repr((words, said.calls, said.turns))
        if key not in self._known:
            self._known[key] = await self._fresh(said, what)
        return self._known[key]

    async def _fresh(self, said: Gold, what: str) -> Mark:
        try:
            return await mark_of(self.case.item, said)
        except Exception as error:  # a scorer that raises is a finding, as one that errs is
            self._count.fail(self.name, f"the scorer raises: {what}", repr(error))
            return Mark(0.0, "the scorer raised", valid=False)
