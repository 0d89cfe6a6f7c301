"""Clearing away: over random histories what must stay is there and verifies; budgets are kept."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_runtime import BASE, settings_of
from ledger import History

from adapt.budget import GIB, require_weights, size_of
from adapt.collect import LOGS, Collected, collect
from agent.config import Settings
from store import Home, Store
from store.embeddings import HashEmbedder
from store.errors import NotFoundError
from store.records import CycleStage, CycleState, Version, VersionState


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(Home(tmp_path / "home"), HashEmbedder()) as store:
        yield store


def budget(store: Store, **overrides: Any) -> Settings:
    return settings_of(store.home.path, **overrides)


def below(store: Store, version: Version) -> Version:
    """What an adapter's weights are added to, by its parents."""
    while version.kind == "adapter":
        assert version.parent is not None
        version = store.versions.get(version.parent)
    return version


def must_verify(store: Store, version: Version) -> None:
    """A version can be served, built again and learned on from."""
    rows = [version.update] if version.update else []
    for digest in (version.path, below(store, version).path, *rows):
        if digest:
            store.artifacts.verify(digest)
    for use in version.skills:
        store.artifacts.verify(use.vector)


@pytest.mark.parametrize("seed", range(12))
def test_what_must_stay_is_there_after_any_history(store: Store, seed: int) -> None:
    """Live, to roll back to, recently live, pinned, under evaluation; and all of what is kept."""
    rng = random.Random(seed)
    history = History(store, rng)
    keep = rng.choice([0, 1, 2])
    for _ in range(3):
        history.grow(rng.randrange(4, 14))
        before = store.versions.list()
        # Going back twice may lead to one that went earlier: then it is not there to be kept.
        known = versions(store)
        safe = {n for n in must_stay(history, keep) if history.has_weights(known[n])}
        parents = {known[n].parent for n in safe}
        rows = {known[p].update for p in parents if p} & set(store.artifacts.digests())
        most = rng.choice([None, 20_000, 60_000])
        settings = budget(
            store, swap__keep=keep, budget__versions=rng.choice([2, 4]),
            budget__disk_gib=most and most / GIB,
        )  # fmt: skip
        done = collect(store, settings, lambda: history.pinned)
        assert store.versions.list() == before
        left = [v for v in before if v.path and history.has_weights(v)]
        assert safe - {v.name for v in left} <= {BASE.version_name}
        for version in left:
            must_verify(store, version)
        for digest in filter(None, rows):
            store.artifacts.verify(digest)
        size = sum(size_of(store.artifacts.root / d) for d in store.artifacts.digests())
        assert (done.left_versions, done.left_bytes) == (len(left), size)
        within = len(left) <= settings.budget.versions and (most is None or size <= most)
        assert within != bool(done.over)
        if not within:
            built_on = {below(store, v).name for v in left}
            assert {v.name for v in left} <= safe | built_on
        assert collect(store, settings, lambda: history.pinned).removed == ()


def versions(store: Store) -> dict[str, Version]:
    return {v.name: v for v in store.versions.list()}


def must_stay(history: History, keep: int) -> set[str]:
    """Names of the versions in use, told from the records alone."""
    store = history.store
    at_work = (VersionState.LIVE, VersionState.CANDIDATE)
    names = {name for name, v in versions(store).items() if v.state in at_work}
    target = store.versions.before_live()
    return (
        names
        | history.pinned
        | set(store.versions.recently_live(keep + 1))
        | ({target.name} if target else set())
    )


def grown(store: Store, cycles: int) -> list[Version]:
    """A history of promoted updates, one on top of the other."""
    history = History(store, random.Random(1))
    for _ in range(cycles):
        made = history.version("adapter", update=None)
        store.versions.move(made.name, VersionState.PROMOTED)
        store.versions.go_live(made.name)
    return store.versions.list()


def removed(done: Collected, kind: str = "version") -> list[str]:
    return [each.name for each in done.removed if each.kind == kind]


def test_the_oldest_go_first_and_only_as_many_as_must(store: Store) -> None:
    names = [v.name for v in grown(store, 6)]
    done = collect(store, budget(store, budget__versions=4, swap__keep=1), set)
    assert removed(done) == names[1:3] and done.over == ""
    assert done.left_versions == 4 and done.bytes > 0


def test_a_dry_run_tells_the_same_and_removes_nothing(store: Store) -> None:
    grown(store, 6)
    settings = budget(store, budget__versions=3, swap__keep=1)
    there = store.artifacts.digests()
    told = collect(store, settings, set, dry_run=True)
    assert store.artifacts.digests() == there
    done = collect(store, settings, set)
    assert (told.removed, told.left_bytes) == (done.removed, done.left_bytes)
    assert [line.split()[0] for line in told.lines()] == ["would"] * len(done.removed)


def test_a_budget_that_cannot_be_met_is_told_and_nothing_in_use_goes(store: Store) -> None:
    names = {v.name for v in grown(store, 5)}
    settings = budget(store, budget__disk_gib=1 / GIB, swap__keep=4)
    done = collect(store, settings, set)
    assert done.removed == () and "budget.disk_gib" in done.over
    done = collect(store, budget(store, budget__versions=2, swap__keep=1), lambda: names)
    assert done.removed == () and "5 versions have weights" in done.over


def test_who_is_promoted_while_it_is_decided_stays(store: Store) -> None:
    """The pins are asked again before each version goes."""
    names = [v.name for v in grown(store, 6)]
    asked: list[int] = []

    def pinned() -> set[str]:
        asked.append(1)
        return set() if len(asked) == 1 else {names[1]}

    done = collect(store, budget(store, budget__versions=4, swap__keep=1), pinned)
    assert removed(done) == [names[2]]


def test_merged_weights_stay_as_long_as_an_adapter_on_them(store: Store) -> None:
    history = History(store, random.Random(1))
    history.consolidate()
    merged = store.versions.list()[1]
    rest = grown(store, 5)[2:]
    settings = budget(store, budget__versions=3, swap__keep=1)
    assert removed(collect(store, settings, set)) == [v.name for v in rest[:3]]
    must_verify(store, store.versions.get(rest[-1].name))
    history.consolidate()
    history.consolidate()
    history.consolidate()
    assert merged.name in removed(collect(store, settings, set))


def test_weights_that_are_gone_are_named_with_the_way_out(store: Store) -> None:
    gone = grown(store, 4)[1]
    require_weights(store, gone)
    collect(store, budget(store, budget__versions=2, swap__keep=0), set)
    with pytest.raises(NotFoundError, match=f"{gone.name} has no weights any more") as caught:
        require_weights(store, gone)
    assert "budget.versions" in caught.value.hint
    require_weights(store, store.versions.first())


def test_rows_and_the_folder_of_a_running_cycle_stay(store: Store) -> None:
    """They go once it has ended without a version."""
    history = History(store, random.Random(1))
    rows = history.artifact("rows ")
    store.cycles.start({})
    store.cycles.stage_started(1, CycleStage.IMPLANT, {})
    store.cycles.stage_done(1, CycleStage.IMPLANT, {"update": rows}, 1.0)
    work = store.home.cycles / "0001" / "compose"
    work.mkdir(parents=True)
    (work / "half").write_text("done")
    assert collect(store, budget(store), set).removed == ()
    store.cycles.finish(1, CycleState.FAILED)
    done = collect(store, budget(store), set)
    assert removed(done, "rows") == [rows[:12]] and removed(done, "work") == ["of cycle 1"]
    assert not work.exists()


def test_of_ended_cycles_only_the_last_logs_are_left(store: Store) -> None:
    history = History(store, random.Random(1))
    for _ in range(LOGS + 2):
        history.cycle()
    collect(store, budget(store, budget__versions=100), set)
    left = {p.relative_to(store.home.cycles).parts[0] for p in store.home.cycles.rglob("log.txt")}
    assert left == {f"{n:04d}" for n in range(3, LOGS + 3)}
    assert {p.name for p in store.home.cycles.rglob("*") if p.is_file()} == {
        "log.txt",
        "error.json",
    }
    assert not (store.home.cycles / "0001").exists()


def test_masks_that_nothing_needs_go_and_new_ones_stay(store: Store) -> None:
    """A mask that was made ahead of the first cycle that uses it took hours, and stays."""
    history = History(store, random.Random(3))
    for _ in range(12):
        history.cycle()
    ahead = store.home.path / "masks" / "ahead"
    ahead.mkdir()
    (ahead / "mask.json").write_text("{}")
    collect(store, budget(store, budget__versions=2, swap__keep=0), set)
    left = [v for v in store.versions.list() if v.update and history.has_weights(v)]
    needed = {store.versions.get_update(v.update).mask_digest[:16] for v in left if v.update}
    newest = next(iter(store.cycles.newest_first()))
    used = next(s.outputs for s in newest.stages if s.stage is CycleStage.ATTRIBUTE) or {}
    there = {p.name for p in (store.home.path / "masks").iterdir()}
    assert there == needed | {str(used["mask"])[:16], "ahead"}
