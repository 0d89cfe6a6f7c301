"""`perennial reproduce past`: what a skill vector is worth on categories that RL never saw."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group

from adapt.base import find_model
from adapt.commands import Options, refuse_below_file
from adapt.reproduce.past_report import (
    MAIN,
    PLAIN,
    Runs,
    category_row,
    condition_row,
    draw_gains,
    question_rows,
)
from adapt.reproduce.report import markdown
from adapt.show import CycleView, table
from adapt.skill.angle_map import write_png
from store.errors import NotFoundError, UserError
from store.files import write_atomic

if TYPE_CHECKING:
    from adapt.reproduce.past import Condition, PastStudy

ANGLES = "angles.json"


def reproduce_past(
    options: Options, out: Path, seeds: int, only: Sequence[str], also: Sequence[Path] = ()
) -> int:
    """Run what of the study is not in `out` yet; write tables and a picture there.

    `also`: folders of other vectors of the model, each played with the first seed.
    """
    if seeds < 1:
        raise UserError(f"--seeds {seeds}", "use 1 or more")
    # torch is loaded here and not for --help.
    from adapt.reproduce.past import CONDITIONS, TARGETS, PastStudy
    from adapt.reproduce.past_questions import answers
    from adapt.skill.geometry import Angle
    from adapt.skill.vector import load_vector

    unknown = [name for name in only if name not in TARGETS]
    if unknown:
        raise NotFoundError(f"no category {unknown[0]!r}", f"there are: {', '.join(TARGETS)}")
    refuse_below_file("--out", out / "work")
    names = [folder.name for folder in also]
    if len(set(names)) < len(names):
        raise UserError(f"two folders of one name in --also: {', '.join(names)}", "rename one")
    settings = options.settings(model="pico")
    work = out / "work"
    base = find_model("pico")
    path = base.skill
    assert path is not None, "pico brings its vector"
    vector = load_vector(path, base)
    others = {f"with {folder.name}": load_vector(folder, base) for folder in also}
    with CycleView() as view:
        study = PastStudy(base, settings, vector, out, work, view.moving)
        runs = _runs(study, CONDITIONS, only or TARGETS, seeds)
        main = next(condition for condition in CONDITIONS if condition.name == MAIN)
        for name, other in others.items():
            second = PastStudy(base, settings, other, out, work, view.moving)
            runs[name] = _runs(second, [main], only or TARGETS, 1)[MAIN]
        # Studies of other categories share a folder; one of them must not train this beside them.
        asked = [] if only else [answers(study, seed) for seed in range(1, seeds + 1)]
        cosines = _angles(study, out / ANGLES)
    value: dict[str, Any] = {
        **_findings(runs, vector.record.digest),
        "questions": question_rows(asked, PLAIN) if asked else [],
        "angles": cosines,
    }
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


def _runs(
    study: "PastStudy", conditions: Sequence["Condition"], categories: Sequence[str], seeds: int
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Condition -> category -> a result per seed; a condition with none is left out."""
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {}
    # By category and seed, so that what was learned is there for every condition.
    for category in categories:
        for seed in range(1, seeds + 1):
            for condition in conditions:
                if condition.takes(category, seed):
                    found = study.run(category, condition, seed)
                    runs.setdefault(condition.name, {}).setdefault(category, []).append(found)
    return runs


def _angles(study: "PastStudy", path: Path) -> dict[str, Any]:
    """Cosines; from the file where they are of this vector."""
    from adapt.reproduce.past_angles import measured

    try:
        kept = json.loads(path.read_text())
        if kept["vector"] == study.record.digest:
            return kept["angles"]
    except (OSError, ValueError, KeyError):
        # Not measured yet, or of another vector.
        pass
    told = measured(study)
    write_atomic(path, json.dumps({"vector": study.record.digest, "angles": told}, indent=1) + "\n")
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
            ("category", PLAIN, MAIN, "gain"),
            [(r["category"], r["without"], r["with"], r["gain"]) for r in value["categories"]],
        ),
        markdown(
            "Questions on facts that were learned as statements",
            ("condition", "seeds x facts", "answered", "gain"),
            [
                (q["condition"], f"{q['seeds']} x {q['facts']}", q["solved"], q["gain"])
                for q in value["questions"]
            ],
        ),
        markdown(
            "Cosines, over the modules that both move",
            ("between", "median of absolutes", "largest", "all modules as one"), angles,
        ),
    ])  # fmt: skip
