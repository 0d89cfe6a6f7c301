"""Versions: names, transitions, the live alias and the way back."""

import threading
from datetime import UTC, datetime

import pytest

from store.database import Database
from store.errors import NotFoundError, StateError
from store.records import (
    VERSION_TRANSITIONS,
    Probe,
    SkillUse,
    SkillVector,
    Update,
    Version,
    VersionState,
    digest_of,
)
from store.versions import Versions

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def versions(database: Database) -> Versions:
    return Versions(database)


def version(number: int, state: VersionState = VersionState.CANDIDATE, **more: object) -> Version:
    digest = digest_of(number)
    base = {
        "name": f"v{number}-{digest[:6]}",
        "number": number,
        "digest": digest,
        "kind": "adapter",
        "base_digest": "b",
        "template_digest": "t",
        "state": state,
        "created_at": NOW,
    }
    return Version.model_validate({**base, **more})


def promoted(versions: Versions, number: int) -> str:
    made = version(number, VersionState.PROMOTED)
    versions.create(made)
    return made.name


def an_update(digest: str = "u") -> Update:
    return Update(
        digest=digest,
        base_digest="b",
        mask_digest="m",
        corpus_digest="c",
        examples_digest="e",
        settings={"rank": 8},
        seed=1,
        created_at=NOW,
    )


def test_a_version_comes_back_as_it_was(versions: Versions) -> None:
    versions.add_update(an_update())
    probe = Probe(prompts=("a",), token_ids=((1, 2),), logprobs=((-0.1, float("-inf")),))
    made = version(3, update="u", skills=(SkillUse(vector="s", scale=0.5),), probe=probe)
    versions.create(made)
    assert versions.get(made.name) == made
    assert versions.by_digest(made.digest) == made
    assert versions.by_digest("absent") is None
    assert versions.list() == [made]


def test_numbers_start_at_zero_and_go_up(versions: Versions) -> None:
    assert versions.next_number() == 0
    versions.create(version(0))
    versions.create(version(7))
    assert versions.next_number() == 8


def test_a_name_or_number_is_never_used_again(versions: Versions) -> None:
    versions.create(version(1))
    for other in (version(1), version(1, name="v1-other"), version(2, name=version(1).name)):
        with pytest.raises(StateError, match="name or number"):
            versions.create(other)


def test_unknown_names_list_what_exists(versions: Versions) -> None:
    with pytest.raises(NotFoundError, match="none yet"):
        versions.get("v9")
    versions.create(version(1))
    with pytest.raises(NotFoundError, match=version(1).name):
        versions.get("v9")
    with pytest.raises(NotFoundError):
        versions.go_live("v9")


def test_an_unknown_update_is_refused(versions: Versions) -> None:
    with pytest.raises(StateError, match="add_update"):
        versions.create(version(1, update="absent"))
    assert versions.list() == []


@pytest.mark.parametrize("start", [s for s in VersionState if s not in ("live", "retired")])
def test_moves_follow_the_table(versions: Versions, start: VersionState) -> None:
    """Every pair of states, but those that only the alias may give."""
    swapped = {
        VersionState.CANARY, VersionState.LIVE, VersionState.RETIRED, VersionState.ROLLED_BACK
    }  # fmt: skip
    if start in swapped:
        with pytest.raises(StateError, match="cannot begin"):
            versions.create(version(1, start))
        return
    for number, target in enumerate(VersionState):
        name = version(number, start).name
        versions.create(version(number, start))
        if target in VERSION_TRANSITIONS[start] and target is not VersionState.LIVE:
            versions.move(name, target)
            assert versions.get(name).state is target
        else:
            with pytest.raises(StateError):
                versions.move(name, target)
            assert versions.get(name).state is start


def test_go_live_retires_the_one_before(versions: Versions) -> None:
    first, second = promoted(versions, 0), promoted(versions, 1)
    assert versions.live() is None
    assert versions.go_live(first) is None
    assert versions.go_live(second) == first
    live = versions.live()
    assert live is not None and live.name == second and live.state is VersionState.LIVE
    assert versions.get(first).state is VersionState.RETIRED
    assert [(f.kind, f.version, f.previous) for f in versions.history()] == [
        ("go_live", first, None),
        ("go_live", second, first),
    ]


def test_go_live_again_after_a_kill_changes_nothing(versions: Versions) -> None:
    first, second = promoted(versions, 0), promoted(versions, 1)
    versions.go_live(first)
    assert versions.go_live(second) == versions.go_live(second) == first
    assert len(versions.history()) == 2


def test_refused_go_live_leaves_the_live_version_alone(versions: Versions) -> None:
    """The retiring of the old one is rolled back with the rest."""
    first = promoted(versions, 0)
    versions.go_live(first)
    versions.create(version(1))
    with pytest.raises(StateError, match="candidate and cannot become live"):
        versions.go_live(version(1).name)
    assert versions.get(first).state is VersionState.LIVE
    assert len(versions.history()) == 1


def test_the_live_version_is_moved_by_the_alias_only(versions: Versions) -> None:
    first = promoted(versions, 0)
    versions.go_live(first)
    for state in (VersionState.RETIRED, VersionState.ROLLED_BACK, VersionState.LIVE):
        with pytest.raises(StateError, match="alias"):
            versions.move(first, state)


def test_roll_back_steps_back_through_what_was_live(versions: Versions) -> None:
    names = [promoted(versions, n) for n in range(3)]
    for name in names:
        versions.go_live(name)
    assert versions.roll_back().name == names[1]
    assert versions.get(names[2]).state is VersionState.ROLLED_BACK
    assert versions.roll_back().name == names[0]
    with pytest.raises(StateError, match="nothing to roll back to"):
        versions.roll_back()
    live = versions.live()
    assert live is not None and live.name == names[0] and live.state is VersionState.LIVE


def test_roll_back_passes_over_versions_that_were_taken_back(versions: Versions) -> None:
    names = [promoted(versions, n) for n in range(3)]
    versions.go_live(names[0])
    versions.go_live(names[1])
    versions.roll_back()
    versions.go_live(names[2])
    assert versions.roll_back().name == names[0]
    versions.go_live(names[1])  # a rolled-back version may return
    assert versions.roll_back().name == names[0]


def test_roll_back_of_nothing_is_refused(versions: Versions) -> None:
    with pytest.raises(StateError, match="no version is live"):
        versions.roll_back()


def test_swaps_from_many_threads_leave_one_live(versions: Versions) -> None:
    names = [promoted(versions, n) for n in range(6)]
    threads = [threading.Thread(target=versions.go_live, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    live = [v.name for v in versions.list() if v.state is VersionState.LIVE]
    current = versions.live()
    assert current is not None and live == [current.name]
    assert len(versions.history()) == 6


def test_updates_and_skills_are_kept_once(versions: Versions) -> None:
    skill = SkillVector(
        digest="s", base_digest="b", template_digest="t", domain="travel", recipe={}, rounds=2
    )
    assert versions.add_update(an_update()) and not versions.add_update(an_update())
    assert versions.get_update("u") == an_update()
    assert versions.add_skill(skill) and not versions.add_skill(skill)
    assert versions.skills() == [skill]
    with pytest.raises(NotFoundError):
        versions.get_update("absent")
