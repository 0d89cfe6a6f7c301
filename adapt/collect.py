"""Clearing away: old versions' weights over the budget, and what ended cycles left behind.

Never what is in use: adapt.collect_plan says what that is. Looks once more before each version
goes. Called after each cycle by adapt.worker_run, and by `perennial versions prune`; the caller
holds the lease on updates, so that no cycle runs beside it.
"""

import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from adapt.budget import GIB, in_gib, size_of
from adapt.collect_plan import Ledger, in_use, to_go
from adapt.stage import ERROR, LOG
from agent.config import Settings
from store import Store
from store.records import Cycle, CycleState, Version

LOGS = 20
"""Ended cycles whose logs are kept; of the rest of their folders nothing is."""
_READ = (LOG, ERROR)


@dataclass(frozen=True)
class Removed:
    """One thing that was removed, or would be."""

    kind: Literal["version", "rows", "mask", "work"]
    name: str
    bytes: int


@dataclass(frozen=True)
class Collected:
    """What was removed, what is left, and in words which budget could not be met."""

    removed: tuple[Removed, ...]
    left_bytes: int
    """Of artifacts."""
    left_versions: int
    """Versions that have weights."""
    over: str
    dry_run: bool

    @property
    def bytes(self) -> int:
        """Bytes that were removed."""
        return sum(each.bytes for each in self.removed)

    def lines(self) -> Iterator[str]:
        """For people and logs; none when there is nothing to tell."""
        verb = "would remove" if self.dry_run else "removed"
        for each in self.removed:
            yield f"{verb} {each.kind} {each.name}: {in_gib(each.bytes)}"
        if self.over:
            yield self.over


def collect(
    store: Store, settings: Settings, pinned: Callable[[], Collection[str]], dry_run: bool = False
) -> Collected:
    """Remove what may go, the oldest first, until the budget is met; with `dry_run` only tell.

    Blocks while it deletes: call it in a thread. Each thing goes as a whole, and a kill in between
    leaves nothing that is trusted.
    """
    budget, keep = settings.budget, settings.swap.keep
    ledger = Ledger.read(store, keep, pinned())
    sizes = {digest: size_of(store.artifacts.root / digest) for digest in store.artifacts.digests()}
    removed: list[Removed] = []

    def drop(kind: Literal["version", "rows"], name: str, digests: Collection[str]) -> None:
        for digest in digests:
            if not dry_run:
                store.artifacts.remove(digest)
        size = sum(sizes.pop(digest) for digest in digests)
        removed.append(Removed(kind, name, size))

    for digest in sorted(ledger.leftovers() & set(sizes)):
        drop("rows", digest[:12], [digest])
    most_bytes = None if budget.disk_gib is None else budget.disk_gib * GIB
    going, left = to_go(ledger, sizes, budget.versions, most_bytes)
    for each in going:
        if each.version.name in in_use(store, keep, pinned()):
            # Somebody promoted it, or began a run on it, since the ledger was read.
            left.append(each.version)
            continue
        drop("version", each.version.name, each.artifacts)
    removed += _folders(store, ledger, left, dry_run)
    over = _over(settings, len(left), sum(sizes.values()))
    return Collected(tuple(removed), sum(sizes.values()), len(left), over, dry_run)


def _over(settings: Settings, versions: int, size: int) -> str:
    budget = settings.budget
    if budget.disk_gib is not None and size > budget.disk_gib * GIB:
        return (
            f"artifacts take {in_gib(size)}, more than budget.disk_gib {budget.disk_gib:g}, and "
            "nothing more may go: raise it, or lower swap.keep"
        )
    if versions > budget.versions:
        return (
            f"{versions} versions have weights, more than budget.versions {budget.versions}, and "
            "all are in use: raise it, or lower swap.keep"
        )
    return ""


def _folders(
    store: Store, ledger: Ledger, left: Collection[Version], dry_run: bool
) -> Iterator[Removed]:
    """Masks that nothing needs, and what ended cycles left behind."""
    masks = store.home.path / "masks"
    for folder in ledger.masks(left):
        if folder.parent == masks and folder.is_dir():
            yield Removed("mask", folder.name, size_of(folder))
            if not dry_run:
                shutil.rmtree(folder)
    ended = [c for c in ledger.cycles if c.state is not CycleState.RUNNING]
    for place, cycle in enumerate(reversed(ended)):
        yield from _work(store, cycle, place < LOGS, dry_run)


def _work(store: Store, cycle: Cycle, logs: bool, dry_run: bool) -> Iterator[Removed]:
    """The folder of an ended cycle, less the logs of its stages where they are kept."""
    folder = store.home.cycles / f"{cycle.number:04d}"
    if not folder.is_dir():
        return
    files = [p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()]
    gone = [p for p in files if not (logs and p.name in _READ)]
    if gone:
        size = sum(p.lstat().st_size for p in gone)
        yield Removed("work", f"of cycle {cycle.number}", size)
    if dry_run:
        return
    for path in gone:
        path.unlink()
    for path in sorted(_dirs(folder), key=lambda p: len(p.parts), reverse=True):
        if not any(path.iterdir()):
            path.rmdir()


def _dirs(folder: Path) -> list[Path]:
    return [folder, *(p for p in folder.rglob("*") if p.is_dir() and not p.is_symlink())]
