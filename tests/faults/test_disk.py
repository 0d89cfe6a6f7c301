"""A disk that is full from one point of a cycle on, and has room again afterwards.

The disk is a file system of a few megabytes in memory, filled to the last byte. Where none may be
mounted, and besides, files are kept from growing: every write then fails as on a full disk.
"""

import shutil
from pathlib import Path

import pytest
from faults.chain import Chain, Together, Waiting, said
from faults.invariants import TALLY, check_ended, check_home
from faults.points import BALLAST
from faults.trainers import DISKS, disk

from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import Cycle, CycleState

WHOLE = (
    "gather:started",
    "synthesize:started",
    "attribute:started",
    "implant:started",
    "compose:started",
    "evaluate:started",
    "gate:started",
    "gate:INSERT INTO gate_reports",
    "swap:started",
    "swap:UPDATE versions",
    "swap:INSERT INTO flips",
    "swap:after INSERT INTO flips",
)
"""Where the disk of the whole home is full all at once."""
QUICK = ("gate", "swap")
"""Stages after which a cycle is brought to its end in a second, once the disk has room."""
GROW = ("synthesize:started", "gate:started", "swap:INSERT INTO flips")
"""Where no file can grow."""


def latest(home: Path) -> Cycle:
    """The newest cycle of a home."""
    with Store.open(Home(home), HashEmbedder()) as store:
        return next(store.cycles.newest_first())


def start_of(point: str) -> str:
    """The step whose dead home is what a cycle has at the beginning of the point's stage."""
    return f"{point.partition(':')[0]}:started"


@pytest.fixture(scope="module")
def of_homes(chain: Chain, together: Together) -> Waiting:
    """Cycles that find the disk of their whole home full."""
    assert chain.finished()

    def fill(home: Path, point: str) -> None:
        with disk(home):
            chain.at(start_of(point), home)
            check_home(home)
            assert chain.learned.run(home, point, "fill") == 1, "it ended as if all were well"
            (home / BALLAST).unlink()
            TALLY.inject("full disk")
            check_home(home)
            words = said(home).splitlines()[-1]
            TALLY.check("no space left for" in words, f"the words name the disk: {words}")
            TALLY.check(latest(home).state is CycleState.RUNNING, "the cycle is to be resumed")
            if point.partition(":")[0] in QUICK:
                go_on(chain, home)

    return together(fill, WHOLE)


@pytest.fixture(scope="module")
def of_files(chain: Chain, together: Together, of_homes: Waiting) -> Waiting:
    """Cycles whose files cannot grow."""

    def limit(home: Path, point: str) -> None:
        chain.at(start_of(point), home)
        check_home(home)
        assert chain.learned.run(home, point, "limit") == 1, "it ended as if all were well"
        TALLY.inject("files that cannot grow")
        check_home(home)
        words = said(home).splitlines()[-1]
        TALLY.check("disk" in words, f"the words name the disk: {words}")
        if point.partition(":")[0] in QUICK:
            go_on(chain, home)

    return together(limit, GROW)


def go_on(chain: Chain, home: Path) -> None:
    """With room again, the next process ends the cycle as if nothing had been."""
    assert chain.learned.run(home) == 0, said(home)
    TALLY.check(check_home(home) == check_home(chain.finished()), "the same version is live")
    check_ended(home, 1, CycleState.PROMOTED)


@pytest.mark.parametrize("point", WHOLE)
def test_a_full_disk_is_named_and_the_cycle_goes_on_when_there_is_room(
    chain: Chain, of_homes: Waiting, point: str
) -> None:
    """Not even the failure can be recorded there: the cycle stays as it was, to be resumed."""
    of_homes[point].result()


@pytest.mark.parametrize("case", DISKS)
def test_a_trainer_s_full_disk_fails_the_cycle_with_words_that_name_it(
    trainers: Waiting, case: tuple[str, str]
) -> None:
    """And nothing of what was half-written is used."""
    trainers[case].result()


@pytest.mark.parametrize("point", GROW)
def test_where_no_file_can_grow_nothing_half_written_is_trusted(
    chain: Chain, of_files: Waiting, point: str
) -> None:
    of_files[point].result()


def test_where_what_was_trained_cannot_be_stored_the_cycle_says_so(
    chain: Chain, place: Path
) -> None:
    """The disk of the artifacts alone is full."""
    folder = place / "artifacts"
    home = chain.trained(place)
    shutil.rmtree(folder)
    with disk(folder):
        before = check_home(home)
        assert chain.learned.run(home, "implant:started", "fill artifacts") == 0, said(home)
        (folder / BALLAST).unlink()
        TALLY.inject("full disk of one folder")
        TALLY.check(check_home(home) == before, "the live version stays")
        words = check_ended(home, 1, CycleState.FAILED).error or ""
        TALLY.check("no space left" in words, f"the words name the disk: {words}")
        TALLY.check(not list(folder.glob("*/")), "nothing half-stored is left")
