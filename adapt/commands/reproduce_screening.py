"""`perennial reproduce screening`: hostile documents among real ones, counted by kind."""

import tempfile
from pathlib import Path
from typing import get_args

from rich.console import Group

from adapt.commands import Options
from adapt.show import CycleView, table

USUAL = Path(__file__).resolve().parents[3] / "shared" / "data"
"""Where the published data usually lies: beside the repository."""


def reproduce_screening(
    options: Options, data: Path | None, seeds: int, *, fit: bool = False
) -> int:
    """Both halves of the data, each with so many seeds. 1 when a hostile document got through, or
    more than 2% of the real ones were held. With `fit` the classifier is made anew instead."""
    if fit:
        from adapt.reproduce.screening_fit import fit_meaning

        with CycleView() as view:
            told = fit_meaning(data or USUAL, view.moving)
        options.put(told, table([told], *told))
        return 0
    from adapt.reproduce.screening import run
    from adapt.reproduce.screening_real import Half

    found = []
    with CycleView() as view, tempfile.TemporaryDirectory(prefix="perennial-") as folder:
        for half in get_args(Half):
            for seed in range(1, seeds + 1):
                home = Path(folder) / f"{half}{seed}"
                told = f"{half} half, seed {seed}: "
                found.append(
                    run(data or USUAL, home, half, seed,
                        progress=lambda text, told=told: view.moving(told + text))
                )  # fmt: skip
    shown = []
    for each in found:
        shown.append(f"\n{each['half']} half, seed {each['seed']}")
        shown.append(table(_rounded([*each["hostile"], each["hostile_all"]]), *_COLUMNS[0]))
        shown.append(table(_rounded([*each["real"], each["real_all"]]), *_COLUMNS[1]))
        shown.append(f"hostile in training: {each['hostile_in_training']}")
    options.put(found, Group(*shown))
    good = all(
        e["hostile_in_training"] == e["hostile_all"]["accepted"] == 0
        and e["real_all"]["share"] <= 0.02
        for e in found
    )
    return 0 if good else 1


_COLUMNS = (
    ("kind", "documents", "accepted", "low", "high"),
    ("kind", "documents", "held", "share", "low", "high"),
)


def _rounded(rows: list[dict]) -> list[dict]:
    return [{k: round(v, 4) if isinstance(v, float) else v for k, v in r.items()} for r in rows]
