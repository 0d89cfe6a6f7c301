"""`perennial reproduce`: the studies behind the defaults, run again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group

from adapt.base import find_model
from adapt.commands import Options
from adapt.loki.selection import Rule
from adapt.reproduce.arms import ARMS, DEFAULT, SEQUENCES, Arm
from adapt.reproduce.losses import losses
from adapt.reproduce.report import (
    Compared,
    against,
    draw_losses,
    draw_sequence,
    interval,
    markdown,
)
from adapt.show import CycleView, table
from store.errors import NotFoundError, UserError
from store.files import write_atomic

UPDATES = 10
ZEROED: tuple[Rule, ...] = ("lowest", "highest", "random")
CLAIMS = (("LoRA", 0.5), ("full fine-tuning", 0.2), ("default with random rows", 1.0))
"""The default is to lose at most so much of what these lose."""


def reproduce(options: Options, name: str, out: Path, seeds: int, only: Sequence[str]) -> int:
    """Run the study `loki`, or what of it is not in `out` yet; write tables and pictures there."""
    if name != "loki":
        raise NotFoundError(f"no study {name!r}", "there are: knowledge, loki, past, screening")
    if seeds < 2:
        raise UserError(f"--seeds {seeds} gives no interval", "use 2 or more")
    arms = _chosen(only)
    # torch is loaded here and not for --help.
    from adapt.reproduce.loki import Study

    base = find_model("pico")
    with CycleView() as view:
        study = Study(base, out, view.moving)
        before = study.before()
        compared: list[Compared] = []
        for arm in arms:
            rate = study.tuned(arm)
            compared.append(
                Compared(arm.name, arm.words, rate, study.compare(arm, range(1, seeds + 1)))
            )
        zeroed = {rule: study.suppress(rule)["old"] for rule in ZEROED}
        rows_of = {a.name: study.sequence(a, UPDATES) for a in arms if a in SEQUENCES}
    value = _findings(before, compared, zeroed, rows_of)
    write_atomic(out / "loki.json", json.dumps(value, indent=1) + "\n")
    write_atomic(out / "loki.md", _text(before, value))
    draw_losses(value["arms"], out / "losses.png")
    if rows_of:
        draw_sequence({n: r["kept"] for n, r in rows_of.items()}, out / "sequence.png")
    shown = [
        {
            "arm": row["arm"], "rate": f"{row['rate']:g}", "new": row["new"][0],
            "losses only": row["losses_only"][0], "low": row["losses_only"][1],
            "high": row["losses_only"][2],
        }
        for row in value["arms"]
    ]  # fmt: skip
    options.put(value, Group(table(shown, *shown[0]), f"tables and pictures: {out}"))
    return 0


def _chosen(only: Sequence[str]) -> list[Arm]:
    known = {arm.name: arm for arm in ARMS}
    for name in only:
        if name not in known:
            raise NotFoundError(f"no arm {name!r}", f"there are: {', '.join(known)}")
    return [known[name] for name in only] or list(ARMS)


def _findings(
    before: dict[str, float], compared: Sequence[Compared], zeroed: dict[str, Any],
    rows_of: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Everything that was found, as JSON."""
    by_name = {arm.name: arm for arm in compared}
    default = by_name.get(DEFAULT.name)
    claims = [
        against(default, by_name[name], before, factor)
        for name, factor in CLAIMS
        if default and name in by_name
    ]
    return {
        "before": before,
        "arms": [arm.row(before) for arm in compared],
        "claims": claims,
        "suppression": {rule: losses(before, old) for rule, old in zeroed.items()},
        "sequences": {
            name: {
                "first_at_first": row["kept"][0][0],
                "first_at_last": row["kept"][-1][0],
                "kept_of_first": row["kept"][-1][0] / row["kept"][0][0],
                "all_at_last": interval(row["kept"][-1]),
                "losses_only": losses(before, row["old"])[1],
            }
            for name, row in rows_of.items()
        },
    }


def _text(before: dict[str, float], value: dict[str, Any]) -> str:
    """The tables in Markdown."""
    arms = value["arms"]
    parts = [
        markdown(
            "What is learned and what is lost",
            ("method", "trained", "rate", "new", "loss, signed", "loss, losses only"),
            [
                (r["arm"], r["trained"], f"{r['rate']:g}", r["new"], r["signed"], r["losses_only"])
                for r in arms
            ],
        ),
        markdown(
            "Each ability afterwards",
            ("method", *before),
            [("before", *before.values()), *[(r["arm"], *r["old"].values()) for r in arms]],
        ),
    ]
    if value["claims"]:
        columns = (
            "default against",
            "at most x",
            "ratio",
            "difference",
            "default - factor x other",
        )
        claims = [tuple(claim.values()) for claim in value["claims"]]
        parts.append(markdown("What the default loses less", columns, claims))
    if value["suppression"]:
        columns = ("1% of rows set to zero", "loss, signed", "loss, losses only")
        zeroed = [(rule, *pair) for rule, pair in value["suppression"].items()]
        parts.append(markdown("Suppression", columns, zeroed))
    if value["sequences"]:
        columns = (
            f"{UPDATES} updates in a row", "first, at once", "first, at the end", "share kept",
            "all worlds, at the end", "old abilities lost",
        )  # fmt: skip
        rows = [(name, *found.values()) for name, found in value["sequences"].items()]
        parts.append(markdown("Updates in a row", columns, rows))
    return "\n".join(parts)
