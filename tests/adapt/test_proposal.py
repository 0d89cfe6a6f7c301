"""When consolidation is proposed: histories of updates that learn less, the same, or anyhow."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from adapt.proposal import LEAST, fallen, proposal
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import CycleStage, CycleState, Update, Version, VersionState, digest_of, utc_now

FALLING = (0.92, 0.90, 0.84, 0.80, 0.71, 0.66, 0.52, 0.40)
FLAT = (0.90, 0.88, 0.91, 0.89, 0.90, 0.88, 0.91, 0.90)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with nothing but a base."""
    home = Home(tmp_path / "home")
    home.create()
    with Store.open(home, HashEmbedder()) as opened:
        go_live(opened, "base", "first")
        yield opened


def go_live(store: Store, kind: str, base: str, update: str | None = None) -> None:
    number = store.versions.next_number()
    digest = digest_of([kind, number])
    live = store.versions.live()
    version = Version.model_validate({
        "name": f"v{number}-{digest[:6]}", "number": number, "digest": digest, "kind": kind,
        "base_digest": base, "update": update, "parent": live.name if live else None,
        "template_digest": "t", "state": VersionState.PROMOTED, "created_at": utc_now(),
    })  # fmt: skip
    store.versions.create(version)
    store.versions.go_live(version.name)


def learn(
    store: Store,
    shares: Sequence[float],
    losses: Sequence[float] | None = None,
    base: str = "first",
) -> None:
    """A cycle for each share of what was new, of which the live version knew a fifth."""
    for share, loss in zip(shares, losses or [0.1] * len(shares), strict=True):
        cycle = store.cycles.start({})
        digest = digest_of(["rows", cycle.number])
        store.versions.add_update(
            Update(
                digest=digest, base_digest=base, mask_digest="m", corpus_digest="c",
                examples_digest="e", settings={}, seed=0, created_at=utc_now(),
            )
        )  # fmt: skip
        tests = [
            {"suite": "kept", "live": 0.9, "candidate": 0.1},
            {"suite": "learned", "live": 0.2, "candidate": 0.2 + 0.8 * share},
        ]
        given = {
            CycleStage.IMPLANT: {"update": digest, "train": {"last_loss": loss}},
            CycleStage.GATE: {"suites": tests},
        }
        for stage, outputs in given.items():
            store.cycles.stage_started(cycle.number, stage, {})
            store.cycles.stage_done(cycle.number, stage, outputs, 1.0)
        store.cycles.finish(cycle.number, CycleState.PROMOTED)
        go_live(store, "adapter", base, digest)


def test_updates_that_learn_less_and_less_propose_it(store: Store) -> None:
    """With both figures, and the command."""
    learn(store, FALLING)
    said = proposal(store)
    assert said is not None and "perennial consolidate" in said
    assert "last 3 of 8 updates" in said and "learned 53% of what was new, the first 89%" in said


def test_a_loss_that_rises_proposes_it_too(store: Store) -> None:
    """Training that gets less and less into the rows, before questions show it."""
    learn(store, FLAT, [0.10, 0.11, 0.12, 0.15, 0.19, 0.22, 0.30, 0.35])
    said = proposal(store)
    assert said is not None and "loss of 0.29, the first at 0.11" in said


def test_updates_that_learn_the_same_propose_nothing(store: Store) -> None:
    learn(store, FLAT, [0.10, 0.12, 0.09, 0.11, 0.10, 0.12, 0.11, 0.10])
    assert proposal(store) is None


def test_a_few_updates_are_too_few(store: Store) -> None:
    learn(store, FALLING[: LEAST - 1])
    assert proposal(store) is None


def test_a_bad_day_is_no_trend() -> None:
    """The last update alone, or two in the middle; and a steady fall too small to matter."""
    assert not fallen((0.9, 0.9, 0.88, 0.91, 0.9, 0.89, 0.9, 0.1))
    assert not fallen((0.9, 0.9, 0.2, 0.3, 0.9, 0.9, 0.88, 0.9))
    assert not fallen((0.90, 0.89, 0.88, 0.87, 0.86, 0.85, 0.84, 0.83))


def test_chance_alone_rarely_proposes_it() -> None:
    """Of 200 homes whose updates learn 80% on average, up and down by 20 points, looked at after
    each of 30 updates, few are ever told to consolidate; of those that lose 4 points each time,
    nearly all are."""
    draw = np.random.default_rng(0)

    def told(fall: float) -> int:
        count = 0
        for _ in range(200):
            shares = np.clip(draw.normal(0.8 - fall * np.arange(30), 0.2), 0, 1).tolist()
            count += any(fallen(shares[:n]) for n in range(LEAST, 31))
        return count

    assert told(0.0) <= 20
    assert told(0.04) >= 180


def test_what_was_learned_on_other_weights_does_not_count(store: Store) -> None:
    """After a consolidation the count begins anew; and on whole weights there is nothing to do."""
    learn(store, FALLING)
    go_live(store, "merged", "second")
    assert proposal(store) is None
    learn(store, (0.2,), base="second")
    assert proposal(store) is None
    learn(store, FALLING, base="second")
    assert proposal(store) is None
    learn(store, (0.15, 0.1, 0.1), base="second")
    said = proposal(store)
    assert said is not None and "12 updates" in said
