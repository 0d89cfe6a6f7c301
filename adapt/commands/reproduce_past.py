"""`perennial reproduce past`: what a skill vector is worth on categories that RL never saw."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group

from adapt.base import find_model
from adapt.commands import Options
from adapt.reproduce.past_report import Runs, category_row, condition_row, draw_gains
from adapt.reproduce.report import markdown
from adapt.show import CycleView, table
from adapt.skill.angle_map import write_png
from store.errors import NotFoundError, UserError
from store.files import write_atomic

if TYPE_CHECKING:
    from adapt.reproduce.past import PastStudy

PLAIN, MAIN = "documents alone", "with the vector"
ANGLES = "angles.json"


def reproduce_past(options: Options, out: Path, seeds: int, only: Sequence[str]) -> int:
    """Run what of the study is not in `out` yet; write tables and a picture there."""
    if seeds < 1:
        raise UserError(f"--seeds {seeds}", "use 1 or more")
    # torch is loaded here and not for --help.
    from adapt.reproduce.past import CONDITIONS, TARGETS, PastStudy, seeds_of
    from adapt.skill.geometry import Angle
    from adapt.skill.vector import load_vector

    unknown = [name for name in only if name not in TARGETS]
    if unknown:
        raise NotFoundError(f"no category {unknown[0]!r}", f"there are: {', '.join(TARGETS)}")
    settings = options.settings(model="pico")
    work = out / "work"
    base = find_model("pico", work / "digests")
    path = base.skill
    assert path is not None, "pico brings its vector"
    vector = load_vector(path, base)
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {c.name: {} for c in CONDITIONS}
    with CycleView() as view:
        study = PastStudy(
            base, settings, vector.tensors, vector.record.digest, out, work, view.moving
        )
        # By category and seed, so that what was learned is there for every condition.
        for category in only or TARGETS:
            for seed in range(1, seeds + 1):
                for condition in CONDITIONS:
                    if seed in seeds_of(condition, seeds):
                        found = study.run(category, condition, seed)
                        runs[condition.name].setdefault(category, []).append(found)
        cosines = _angles(study, out / ANGLES)
    value: dict[str, Any] = {**_findings(runs, vector.record.digest), "angles": cosines}
    write_atomic(out / "past.json", json.dumps(value, indent=1) + "\n")
    write_atomic(out / "past.md", _text(value))
    draw_gains(value["categories"], out / "gains.png")
    pair, first = next(iter(cosines.items()))
    drawn = [Angle(**module) for module in first["modules"]]
    write_png(drawn, pair, out / "angles.png", cosines=True)
    shown = [
        {
            "condition": row["condition"], "solved": row["solved"][0], "gain": row["gain"][0],
            "low": row["gain"][1], "high": row["gain"][2], "up": row["up"],
        }
        for row in value["conditions"]
    ]  # fmt: skip
    options.put(value, Group(table(shown, *shown[0]), f"tables and pictures: {out}"))
    return 0


def _angles(study: "PastStudy", path: Path) -> dict[str, Any]:
    """Cosines; from the file where they are of this vector."""
    from adapt.reproduce.past_angles import measured

    try:
        kept = json.loads(path.read_text())
        if kept["vector"] == study.digest:
            return kept["angles"]
    except (OSError, ValueError, KeyError):
        # Not measured yet, or of another vector.
        pass
    told = measured(study)
    write_atomic(path, json.dumps({"vector": study.digest, "angles": told}, indent=1) + "\n")
    return told


def _findings(runs: Runs, digest: str) -> dict[str, Any]:
    return {
        "vector": digest,
        "conditions": [condition_row(name, runs, PLAIN) for name in runs],
        "categories": [category_row(name, runs, PLAIN, MAIN) for name in runs[PLAIN]],
    }


def _text(value: dict[str, Any]) -> str:
    """The tables in Markdown."""
    kinds = ("single", "multi", "cross", "none")
    angles = [
        (name, found["median_absolute_cosine"], found["largest_absolute_cosine"], found["whole"])
        for name, found in value["angles"].items()
    ]
    return "\n".join([
        markdown(
            "What is solved, closed book",
            ("condition", "categories x seeds", "solved", "gain", "categories up", *kinds),
            [
                (r["condition"], f"{r['categories']} x {r['seeds']}", r["solved"], r["gain"],
                 r["up"], *(r[kind] for kind in kinds))
                for r in value["conditions"]
            ],
        ),
        markdown(
            "By category",
            ("category", "documents alone", "with the vector", "gain"),
            [(r["category"], r["without"], r["with"], r["gain"]) for r in value["categories"]],
        ),
        markdown(
            "Cosines, over the modules that both move",
            ("between", "median of absolutes", "largest", "all modules as one"), angles,
        ),
    ])  # fmt: skip
