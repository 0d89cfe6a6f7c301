"""`perennial reproduce knowledge`: facts learned, changed and withdrawn, on the embedded model."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Group

from adapt.base import find_model
from adapt.commands import Options, refuse_below_file
from adapt.reproduce.ledger import Result
from adapt.reproduce.report import interval, markdown
from adapt.show import CycleView, table
from store.errors import UserError
from store.files import write_atomic

Runs = Sequence[Mapping[str, Result]]
"""Results of all seeds, by step."""


def reproduce_knowledge(options: Options, out: Path, seeds: int) -> int:
    """Run what of the study is not in `out` yet; write its figures there. 1 where an aim is
    missed."""
    if seeds < 2:
        raise UserError(f"--seeds {seeds} gives no interval", "use 2 or more")
    refuse_below_file("--out", out / "work")
    # torch is loaded here and not for --help.
    from adapt.reproduce.knowledge import STEPS, KnowledgeStudy

    with CycleView() as view:
        study = KnowledgeStudy(find_model("pico"), out, view.moving)
        runs = [study.of_seed(seed) for seed in range(1, seeds + 1)]
    value = findings(runs)
    rows = [(STEPS[name], *shares.values()) for name, shares in value["answered"].items()]
    columns = ("trained on", *next(iter(value["answered"].values())))
    claims = [tuple(claim.values()) for claim in value["claims"]]
    text = markdown("Answered afterwards", columns, rows) + "\n"
    text += markdown("Aims", tuple(value["claims"][0]), claims)
    write_atomic(out / "knowledge.json", json.dumps(value, indent=1) + "\n")
    write_atomic(out / "knowledge.md", text)
    shown = [
        {"trained on": STEPS[name], **{n: share[0] for n, share in shares.items()}}
        for name, shares in value["answered"].items()
    ]
    options.put(
        value,
        Group(table(shown, *columns), table(value["claims"], *value["claims"][0]), f"more: {out}"),
    )
    return 0 if all(claim["holds"] for claim in value["claims"]) else 1


def findings(runs: Runs) -> dict[str, Any]:
    """Shares answered after each step, with 95% intervals over the seeds, and the aims."""
    steps, kinds = list(runs[0]), list(runs[0]["first"]["answered"])

    def shares(step: str, kind: str) -> list[float]:
        return [run[step]["answered"][kind] for run in runs]

    def apart(kind: str, one: str, other: str) -> list[float]:
        return [a - b for a, b in zip(shares(one, kind), shares(other, kind), strict=True)]

    forgotten = apart("withdrawn", "rebuilt", "never")
    changed = apart("untouched", "second", "first")
    rebuilt = apart("untouched", "rebuilt", "second")
    return {
        "seeds": len(runs),
        "answered": {s: {k: interval(shares(s, k)) for k in kinds} for s in steps},
        "claims": [
            _claim("new answer of a changed fact", shares("second", "new"), at_least=0.7),
            _claim("old answer of a changed fact", shares("second", "old"), at_most=0.1),
            _claim("withdrawn, more than never seen", forgotten, at_most=0.05),
            _claim("untouched, change of an update", changed, at_least=-0.03),
            _claim("untouched, change of a rebuild", rebuilt, at_least=-0.03),
        ],
    }


def _claim(
    what: str, values: Sequence[float], at_least: float = -1.0, at_most: float = 1.0
) -> dict[str, Any]:
    """An aim on the mean over the seeds."""
    aim = f"at least {at_least:g}" if at_least > -1 else f"at most {at_most:g}"
    # Means of a few shares: how floats round must not decide.
    holds = at_least - 1e-9 <= mean(values) <= at_most + 1e-9
    return {"what": what, "aim": aim, "found": interval(values), "holds": holds}
