"""Faults of a stage's own process: it is killed, or its disk is full.

Each loads a model and takes long, so all are begun early and done beside the other tests (the
fixture `trainers`); test_kill_trainer.py and test_disk.py wait for them.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults.chain import Chain, said
from faults.invariants import TALLY, check_ended, check_home
from faults.points import BALLAST

from store.records import CycleStage, CycleState

STAGES = (CycleStage.COMPOSE, CycleStage.IMPLANT, CycleStage.ATTRIBUTE)
"""Stages whose processes are killed."""
DISKS = (
    ("attribute:started", "nearly fill masks"),
    ("implant:progress", "fill cycles"),
    ("compose:started", "nearly fill cycles"),
)
"""Points at which the disk of one folder is full, and how."""


def killed(chain: Chain, home: Path, stage: CycleStage) -> None:
    """Kill the process of a stage. After the latest of the stages the next cycle is tried too."""
    chain.at(f"{stage}:started", home)
    before = check_home(home)
    assert chain.learned.run(home, f"{stage}:progress", "kill child") == 0, said(home)
    TALLY.inject("SIGKILL of a trainer")
    TALLY.check(check_home(home) == before, "the live version stays")
    error = check_ended(home, 1, CycleState.FAILED).error or ""
    TALLY.check(f"{stage}_stage was killed by SIGKILL" in error, f"it says what died: {error}")
    if stage is CycleStage.COMPOSE:
        assert chain.learned.run(home) == 0, said(home)
        TALLY.check(check_home(home) != before, "the next cycle learns what the failed one did not")
        check_ended(home, 2, CycleState.PROMOTED)


def on_a_full_disk(chain: Chain, home: Path, point: str, act: str) -> None:
    """Fill the disk of the folder in which a stage's process writes."""
    folder = act.split()[-1]
    with disk(home / folder):
        chain.at(f"{point.partition(':')[0]}:started", home)
        before = check_home(home)
        assert chain.learned.run(home, point, act) == 0, said(home)
        (home / folder / BALLAST).unlink()
        TALLY.inject("full disk of one folder")
        TALLY.check(check_home(home) == before, "the live version stays")
        words = check_ended(home, 1, CycleState.FAILED).error or ""
        TALLY.check("no space left" in words.lower(), f"the words name the disk: {words}")


@contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """A small disk, mounted on a folder; skips the test where none may be mounted."""
    folder.mkdir(parents=True)
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)],
            check=True, capture_output=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
