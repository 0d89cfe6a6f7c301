"""A disk that is full from one point of a cycle on, and has room again afterwards.

The disk is a file system of a few megabytes in memory, filled to the last byte. Where none may be
mounted, and besides, files are kept from growing: every write then fails as on a full disk.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults.chain import Chain, said
from faults.invariants import TALLY, check_ended, check_home
from faults.points import BALLAST

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
PARTS = (
    ("attribute:started", "nearly fill masks"),
    ("implant:progress", "fill cycles"),
    ("implant:progress", "fill artifacts"),
    ("compose:started", "nearly fill cycles"),
)
"""Where the disk of one folder is, while a stage's own process writes there."""
QUICK = ("gate", "swap")
"""Stages after which a cycle is brought to its end in a second, once the disk has room."""
Disk = Callable[[Path], Path]


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Makes small disks, each mounted on a folder."""
    mounted: list[Path] = []

    def mount(folder: Path) -> Path:
        folder.mkdir(parents=True)
        try:
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)],
                check=True, capture_output=True,
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no file system may be mounted here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def latest(home: Path) -> Cycle:
    """The newest cycle of a home."""
    with Store.open(Home(home), HashEmbedder()) as store:
        return next(store.cycles.newest_first())


def start_of(point: str) -> str:
    """The step whose dead home is what a cycle has at the beginning of the point's stage."""
    return f"{point.partition(':')[0]}:started"


@pytest.mark.parametrize("point", WHOLE)
def test_a_full_disk_is_named_and_the_cycle_goes_on_when_there_is_room(
    chain: Chain, disk: Disk, place: Path, point: str
) -> None:
    """Not even the failure can be recorded there: the cycle stays as it was, to be resumed."""
    home = chain.at(start_of(point), disk(place))
    check_home(home)
    assert chain.learned.run(home, point, "fill") == 1, "it ended as if nothing were wrong"
    (home / BALLAST).unlink()
    TALLY.inject("full disk")
    check_home(home)
    TALLY.check("no space left for" in said(home).splitlines()[-1], "the words name the disk")
    TALLY.check(latest(home).state is CycleState.RUNNING, "the cycle is to be resumed")
    if point.partition(":")[0] in QUICK:
        assert chain.learned.run(home) == 0, said(home)
        TALLY.check(check_home(home) == check_home(chain.finished()), "the same version is live")
        check_ended(home, 1, CycleState.PROMOTED)


@pytest.mark.parametrize(("point", "act"), PARTS)
def test_a_stage_s_full_disk_fails_the_cycle_with_words_that_name_it(
    chain: Chain, disk: Disk, place: Path, point: str, act: str
) -> None:
    """And nothing of what was half-written is used by the next one."""
    folder = act.split()[-1]
    disk(place / folder)
    home = chain.at(start_of(point), place)
    before = check_home(home)
    assert chain.learned.run(home, point, act) == 0, said(home)
    (home / folder / BALLAST).unlink()
    TALLY.inject("full disk of one folder")
    TALLY.check(check_home(home) == before, "the live version stays")
    words = check_ended(home, 1, CycleState.FAILED).error or ""
    TALLY.check(bool(re.search("[Nn]o space left", words)), f"the words name the disk: {words}")
    if (point, act) == PARTS[-1]:
        assert chain.learned.run(home) == 0, said(home)
        check_home(home)
        check_ended(home, 2, CycleState.PROMOTED)


@pytest.mark.parametrize("point", ["synthesize:started", "gate:started", "swap:INSERT INTO flips"])
def test_where_no_file_can_grow_nothing_half_written_is_trusted(
    chain: Chain, place: Path, point: str
) -> None:
    home = chain.at(start_of(point), place)
    check_home(home)
    assert chain.learned.run(home, point, "limit") == 1, "it ended as if nothing were wrong"
    TALLY.inject("files that cannot grow")
    check_home(home)
    TALLY.check("disk" in said(home).splitlines()[-1], "the words name the disk")
    if point.partition(":")[0] in QUICK:
        assert chain.learned.run(home) == 0, said(home)
        check_home(home)
        check_ended(home, 1, CycleState.PROMOTED)
