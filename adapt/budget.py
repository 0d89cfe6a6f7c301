"""What an update may use, and whether there is room for one: time, disk, and weights that are gone.

It measures and says so in words; it stops and removes nothing itself. Called by adapt.cycle
(time), adapt.worker_waiting and adapt.worker_run (disk), adapt.swap (weights).
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from agent.config import BudgetSettings
from store import Home, Store
from store.errors import NotFoundError, StageError
from store.files import Artifacts, write_atomic
from store.records import Cycle, CycleStage, Version

GIB = 1 << 30
Free = Callable[[Path], int]
"""Bytes that can still be written where a path is."""


def free_at(path: Path) -> int:
    """Free bytes of the disk that holds a path."""
    return shutil.disk_usage(path).free


def seconds_left(budget: BudgetSettings, cycle: Cycle) -> float | None:
    """What an update may still take; None without a limit. What its finished stages took counts,
    whichever process ran them."""
    if budget.cycle_minutes is None:
        return None
    return 60 * budget.cycle_minutes - sum(stage.seconds or 0.0 for stage in cycle.stages)


def overtime(budget: BudgetSettings, number: int, stage: CycleStage) -> StageError:
    """Why an update was stopped in a stage."""
    return StageError(
        f"update {number} was stopped in {stage}: it took longer than budget.cycle_minutes, "
        f"{budget.cycle_minutes:g}",
        "raise budget.cycle_minutes, or lower update.epochs; the live version is unchanged",
    )


def note_written(home: Home, artifacts: Artifacts, cycle: Cycle) -> None:
    """Write down how much an update that made a version wrote: its folder and its artifacts.

    To be called before anything of it is cleared away.
    """
    given = {k: v for stage in cycle.stages for k, v in (stage.outputs or {}).items()}
    if "digest" not in given:
        return
    made = (artifacts.root / given[key] for key in ("update", "digest") if key in given)
    size = sum(size_of(folder) for folder in (home.cycles / f"{cycle.number:04d}", *made))
    write_atomic(_note(home), json.dumps({"cycle": cycle.number, "bytes": size}))


def disk_lacks(home: Home, free: Free = free_at) -> str:
    """In words, why an update that writes what the last one wrote would fail; empty when not."""
    try:
        last = int(json.loads(_note(home).read_text())["bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        # No update has made a version yet, and nothing is known of the next.
        return ""
    left = free(home.path)
    if left >= last:
        return ""
    return (
        f"the disk of {home.path} has {in_gib(left)} left and the last update wrote "
        f"{in_gib(last)}: free some space, or lower budget.disk_gib or budget.versions"
    )


def require_weights(store: Store, version: Version) -> None:
    """NotFoundError when the weights of a version were cleared away; its record stays for ever."""
    if not version.path:
        return
    try:
        store.artifacts.path(version.path)
    except NotFoundError as error:
        raise NotFoundError(
            f"version {version.name} has no weights any more: they were cleared away to keep the "
            "budget, or removed by hand",
            "take another (perennial versions), or restore a backup that has them; "
            "budget.versions says how many are kept",
        ) from error


def size_of(folder: Path) -> int:
    """Bytes of the files under a folder; 0 when there is none."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size if not path.is_dir() else 0
        except FileNotFoundError:
            # Others write and remove here meanwhile.
            continue
    return total


def in_gib(size: int) -> str:
    """Bytes for people."""
    return f"{size / GIB:.3g} GiB" if size >= GIB / 10 else f"{size / (1 << 20):.3g} MiB"


def _note(home: Home) -> Path:
    return home.cycles / "written.json"
