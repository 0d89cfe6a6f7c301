"""What need not be kept, by the ledger: versions' weights, trained rows, masks.

Decides and removes nothing. What no record names is left alone. Records are never touched: only
the bytes behind them. Called by adapt.collect.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from store import Store
from store.records import Cycle, CycleStage, CycleState, Update, Version, VersionState

_AT_WORK = (VersionState.LIVE, VersionState.CANARY, VersionState.CANDIDATE)


@dataclass(frozen=True)
class Ledger:
    """All that the decision depends on, read once."""

    versions: Mapping[str, Version]
    """By name, in the order of their numbers."""
    updates: Mapping[str, Update]
    """Of the versions, by digest."""
    cycles: tuple[Cycle, ...]
    """Oldest first."""
    safe: frozenset[str]
    """Versions in use: `in_use`."""

    @classmethod
    def read(cls, store: Store, keep: int, pinned: Collection[str]) -> "Ledger":
        """The ledger of a store. `keep` and `pinned` as for `in_use`."""
        versions = {v.name: v for v in store.versions.list()}
        named = {v.update for v in versions.values() if v.update}
        return cls(
            versions,
            {digest: store.versions.get_update(digest) for digest in named},
            tuple(store.cycles.list()),
            frozenset(in_use(store, keep, pinned)),
        )

    def needs(self, version: Version) -> set[str]:
        """Artifacts that serve a version, build it again, and that an update starts from: its
        own, its rows, its skill vectors; of an adapter the merged weights below it."""
        below = self._below(version) if version.kind == "adapter" else None
        own = {version.path, version.update, below.path if below else None}
        return {digest for digest in own if digest} | {use.vector for use in version.skills}

    def protected(self) -> set[str]:
        """Artifacts that stay whatever the budget says."""
        needed: set[str] = set()
        for name in self.safe:
            version = self.versions[name]
            needed |= self.needs(version)
            parent = self.versions.get(version.parent or "")
            if parent is not None and parent.update:
                # What the version was trained from: needed to train it again.
                needed.add(parent.update)
        for cycle in self.cycles:
            if cycle.state is CycleState.RUNNING:
                needed |= {str(v) for v in given(cycle).values() if isinstance(v, str)}
        return needed

    def leftovers(self) -> set[str]:
        """Rows that an ended cycle trained and no version is made of: it failed afterwards."""
        trained = {given(c).get("update") for c in self.cycles if c.state is not CycleState.RUNNING}
        return {str(digest) for digest in trained if digest} - set(self.updates) - self.protected()

    def masks(self, left: Collection[Version]) -> Iterator[Path]:
        """Folders of masks that cycles used and neither a version with weights nor the newest
        cycle needs. A mask that was made ahead, which no cycle has used yet, is not among them."""
        needed = {self.updates[v.update].mask_digest for v in left if v.update}
        used = [(c, made) for c in self.cycles if "mask" in (made := given(c))]
        needed |= {made["mask"] for c, made in used if c.state is CycleState.RUNNING}
        needed |= {made["mask"] for _, made in used[-1:]}
        paths = {str(made["mask_path"]) for _, made in used if made["mask"] not in needed}
        yield from (Path(path).parent for path in sorted(paths))

    def _below(self, version: Version) -> Version | None:
        """The version whose weights an adapter is added to."""
        above = self.versions.get(version.parent or "")
        while above is not None and above.kind == "adapter":
            above = self.versions.get(above.parent or "")
        return above


@dataclass(frozen=True)
class Going:
    """A version whose weights go, and the artifacts that go with it."""

    version: Version
    artifacts: frozenset[str]


def to_go(
    ledger: Ledger, sizes: Mapping[str, int], most: int, most_bytes: float | None
) -> tuple[list[Going], list[Version]]:
    """Which versions' weights go, the oldest first, until both budgets are met or nothing may go.

    `sizes` are the bytes of the artifacts that are there. Also returns the versions left that have
    weights. Merged weights go only after all that is built on them.
    """
    protected = ledger.protected()
    left = {v.name: v for v in ledger.versions.values() if v.path in sizes}
    total = sum(sizes.values())
    going: list[Going] = []
    while len(left) > most or (most_bytes is not None and total > most_bytes):
        found = _oldest(ledger, left, protected)
        if found is None:
            break
        del left[found.name]
        others = protected.union(*(ledger.needs(v) for v in left.values()))
        made = {found.path, found.update or ""}
        own = {digest for digest in made if digest in sizes and digest not in others}
        total -= sum(sizes[digest] for digest in own)
        going.append(Going(found, frozenset(own)))
    return going, list(left.values())


def _oldest(
    ledger: Ledger, left: Mapping[str, Version], protected: Collection[str]
) -> Version | None:
    for version in left.values():
        if version.name in ledger.safe or version.path in protected:
            continue
        if not any(version.path in ledger.needs(v) for v in left.values() if v is not version):
            return version
    return None


def in_use(store: Store, keep: int, pinned: Collection[str]) -> set[str]:
    """Versions that are live, tried or under evaluation, those that a roll back leads to, the
    `keep` that were live last, and those that runs are bound to (`pinned`)."""
    states = store.versions.states()
    names = {name for name, state in states.items() if state in _AT_WORK}
    names |= set(store.versions.recently_live(keep + 1)) | set(pinned)
    before = store.versions.before_live()
    return (names | ({before.name} if before else set())) & set(states)


def given(cycle: Cycle) -> dict[str, object]:
    """What the stages of a cycle gave, without what its evaluation and gate say."""
    making = (CycleStage.ATTRIBUTE, CycleStage.IMPLANT, CycleStage.COMPOSE)
    found = (s.outputs for s in cycle.stages if s.stage in making and s.outputs)
    return {key: value for outputs in found for key, value in outputs.items()}
