"""What must hold after every fault, checked on the home and on the answers it leaves behind.

`Tally` counts what was injected and what was checked; tests/faults/conftest.py prints it. It
injects nothing itself. Called by the tests of this folder.
"""

import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from threading import Lock

import psutil

from adapt.gather.folder import Folder
from adapt.gather.forms import document_of
from adapt.gather.protocol import Draft
from adapt.loki.selection import Mask
from adapt.rehearsal import documents_of
from store import Home, Store
from store.embeddings import HashEmbedder
from store.errors import DocumentError, IntegrityError, NotFoundError
from store.records import (
    Cycle,
    CycleStage,
    CycleState,
    DocumentState,
    VersionState,
    digest_of,
)
from store.source_records import Source

GONE_S = 10.0
"""How long processes that were told to end may take to be gone."""
_ENDED = {CycleState.PROMOTED, CycleState.REJECTED, CycleState.ABSTAINED}


@dataclass
class Tally:
    """Faults injected and invariants checked in one session."""

    injected: Counter[str] = field(default_factory=Counter)
    checked: int = 0
    broken: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    """Several tests are at work at once."""

    def inject(self, fault: str) -> None:
        """Count a fault that was really injected."""
        with self._lock:
            self.injected[fault] += 1

    def check(self, holds: bool, invariant: str) -> None:
        """Count an invariant; AssertionError when it is broken."""
        with self._lock:
            self.checked += 1
        if not holds:
            self.broken.append(invariant)
            raise AssertionError(f"broken: {invariant}")

    def line(self) -> str:
        """The sum, for people."""
        return (
            f"faults: {self.injected.total()} injected, {self.checked} invariants checked, "
            f"{len(self.broken)} broken"
        )


TALLY = Tally()


def check_home(path: Path, *, damaged: frozenset[str] = frozenset(), alone: bool = True) -> str:
    """Check all that must hold in a home at any moment; the name of the live version.

    `damaged` are artifacts that a test has damaged: they must be refused. `alone`: nobody may have
    the home now, and no process of it be left.
    """
    home = Home(path)
    if alone:
        TALLY.check(not _left(path), f"no process is left: {_left(path)}")
        TALLY.check(home.locked_by() is None, "nobody holds the lock")
    with Store.open(home, HashEmbedder()) as store:
        live = _one_live(store)
        for cycle in store.cycles.list():
            _stages_in_order(cycle)
            _outputs_trusted(store, cycle)
        running = [c.number for c in store.cycles.list() if c.state is CycleState.RUNNING]
        TALLY.check(len(running) <= 1, f"one cycle at most is unfinished: {running}")
        _documents(store)
        _artifacts(store, damaged)
    return live


def check_ended(path: Path, number: int, state: CycleState) -> Cycle:
    """Check that a cycle has ended as it should, with nothing of it left open."""
    with Store.open(Home(path), HashEmbedder()) as store:
        cycle = store.cycles.get(number)
        TALLY.check(cycle.state is state, f"cycle {number} ends as {state}: {cycle}")
        TALLY.check(store.cycles.unfinished() is None, "no cycle is unfinished")
        candidates = [v.name for v in store.versions.list() if v.state is VersionState.CANDIDATE]
        undecided = state in _ENDED and bool(candidates)
        TALLY.check(not undecided, f"no version is left undecided: {candidates}")
    return cycle


def _one_live(store: Store) -> str:
    """The alias, the states and the log of flips say the same."""
    flips, versions = store.versions.history(), store.versions.list()
    live = store.versions.live()
    assert live is not None
    states = [v.name for v in versions if v.state is VersionState.LIVE]
    TALLY.check(states == [live.name], f"one version is live, {live.name}: {states}")
    TALLY.check(flips[-1].version == live.name, "the last flip leads to the live version")
    linked = all(b.previous == a.version for a, b in pairwise(flips))
    TALLY.check(linked, "every flip begins where the last one ended")
    was = {flip.version for flip in flips} - {live.name}
    left = {v.name for v in versions if v.state in (VersionState.RETIRED, VersionState.ROLLED_BACK)}
    canaries = [v.name for v in versions if v.state is VersionState.CANARY]
    TALLY.check(was <= left, f"what was live is retired or rolled back: {was - left}")
    TALLY.check(len(canaries) <= 1, f"one canary at most: {canaries}")
    names, numbers = {v.name for v in versions}, {v.number for v in versions}
    TALLY.check(len(names) == len(numbers) == len(versions), "no version is there twice")
    return live.name


def _stages_in_order(cycle: Cycle) -> None:
    """No stage is done before the one that it builds on; an end says how it came to it."""
    done = [stage.stage for stage in cycle.stages if stage.outputs is not None]
    TALLY.check(done == list(CycleStage)[: len(done)], f"stages are done in order: {done}")
    whole = len(done) == len(CycleStage)
    TALLY.check(cycle.state not in _ENDED or whole, f"cycle {cycle.number} ended whole: {done}")
    if cycle.state is CycleState.FAILED:
        TALLY.check(bool(cycle.error), f"cycle {cycle.number} says why it failed")


def _outputs_trusted(store: Store, cycle: Cycle) -> None:
    """What a done stage names is there, and is what its digest says."""
    given = {k: v for s in cycle.stages if s.outputs for k, v in s.outputs.items()}
    if "examples" in given:
        made = store.examples.of_cycle(cycle.number)
        same = digest_of([e.digest for e in made]) == given["examples"]
        TALLY.check(same, f"cycle {cycle.number} has the examples that it recorded")
    if "mask_path" in given and cycle.state is not CycleState.FAILED:
        whole = Mask.load(Path(given["mask_path"])).digest == given["mask"]
        TALLY.check(whole, f"cycle {cycle.number} has the mask that it recorded")
    for pair in given.get("reports", {}).values():
        for digest in pair.values():
            TALLY.check(store.reports.get_eval(digest).digest == digest, "a report is there")
    if "gate" in given:
        report = store.reports.get_gate(given["gate"])
        TALLY.check(report.verdict.value == given["verdict"], "the verdict is the recorded one")
    if "live" in given and given["verdict"] == "promote":
        flips = [flip.version for flip in store.versions.history()]
        TALLY.check(given["version"] in flips, "what is recorded as swapped in was live")


def _documents(store: Store) -> None:
    """Every document is learned, in a cycle's corpus, or waits; none is lost and none is twice."""
    known = store.documents.list()
    accepted = {d.digest for d in known if d.state is DocumentState.ACCEPTED}
    addresses = [d.address for d in known]
    TALLY.check(len(set(addresses)) == len(known), "no document is stored twice")
    gathered = [
        set(store.documents.get_snapshot(stage.outputs["corpus"]).documents)
        for cycle in store.cycles.list()
        for stage in cycle.stages
        if stage.stage is CycleStage.GATHER and stage.outputs
    ]
    live = store.versions.live()
    assert live is not None
    learned = documents_of(store, live.name)
    TALLY.check(learned <= accepted, f"what is live learned of documents alone: {live.name}")
    if gathered:
        TALLY.check(
            _readable(store) <= {d.digest for d in known}, "no readable file is passed over"
        )
        TALLY.check(accepted <= learned.union(*gathered), "every document is in a corpus")
    promoted = [
        set(
            store.documents.get_snapshot(
                store.versions.get_update(v.update).corpus_digest
            ).documents
        )
        for v in store.versions.list()
        if v.update and v.state in (VersionState.LIVE, VersionState.RETIRED)
    ]
    total = sum(len(corpus) for corpus in promoted)
    TALLY.check(total == len(set().union(*promoted)), "no document is learned twice")


def _readable(store: Store) -> set[str]:
    """Digests of the files that can be taken in."""
    most = 1 << 20

    async def drafts(source: Source) -> list[Draft]:
        return [one async for one in Folder(most).visit(source, {}) if isinstance(one, Draft)]

    found: set[str] = set()
    for source in store.sources.list():
        for draft in asyncio.run(drafts(source)):
            try:
                found.add(document_of(source, draft, most).digest)
            except DocumentError:
                continue
    return found


def _artifacts(store: Store, damaged: frozenset[str]) -> None:
    """What is in the store is whole by its digest, or is refused; what is live is there."""
    for digest in store.artifacts.digests():
        try:
            store.artifacts.verify(digest)
            whole = True
        except IntegrityError:
            whole = False
        TALLY.check(whole is (digest not in damaged), f"artifact {digest[:12]} is whole: {whole}")
    live = store.versions.live()
    for version in store.versions.list():
        needed = {version.path, version.update} - {"", None}
        in_use = version == live or version.state is VersionState.CANDIDATE
        for digest in needed if in_use else ():
            assert digest is not None
            try:
                store.artifacts.path(digest)
                there = True
            except NotFoundError:
                there = False
            TALLY.check(there, f"{version.name} has its artifact {digest[:12]}")


def _left(path: Path) -> list[str]:
    """Command lines of processes that still work for a home, after a moment to end in."""
    deadline = time.monotonic() + GONE_S
    while True:
        found = [words for words in map(_words, psutil.process_iter()) if str(path) in words]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def _words(process: psutil.Process) -> str:
    try:
        ours = process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE
        return "" if ours else " ".join(process.cmdline())
    except psutil.Error:
        return ""
