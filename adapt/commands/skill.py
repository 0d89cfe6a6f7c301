"""`perennial skill`: vectors that make new knowledge usable, made, taken apart and looked at."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.markup import escape

from adapt.base import find_model
from adapt.commands import Options, refuse_below_file, refuse_folders
from adapt.show import CycleView, table
from store.errors import ConfigError, StageError
from tools.virtual_api.catalogue import build_catalogue
from tools.virtual_api.folder import read_catalogue

if TYPE_CHECKING:
    from torch import Tensor

    from adapt.skill.geometry import Angle
    from adapt.skill.recipe import Round
    from adapt.skill.source import Part

SOURCE = ("Logistics", "Events", "Finance")
"""Categories of the virtual API universe that the embedded model does not know by heart. Of few
tools RL learns the parameters by heart, which no other category can use (docs/results.md)."""
QUESTION_SEED = 500
"""First world of the encyclopedia that questions are made of; no suite and no demo uses these."""


def train(
    options: Options, out: Path, model: str | None, given: dict[str, Any], work: Path | None
) -> int:
    """Learn a vector on a source domain and write it to `out`. 1 when it does not help there.

    `given`: `source` (a folder of ToolBench tools, or None for the virtual universe), `categories`,
    `questions` (places of each part, or None for tools), `rounds`, `steps`, `held_out`, `seed`,
    `threads`.
    """
    settings = options.settings(model=model)
    base = find_model(settings.model)
    # Before torch is loaded, and a folder made, for what cannot be.
    _refuse_taken(out)
    from adapt.skill.grpo import GrpoSettings
    from adapt.skill.recipe import train_rounds
    from adapt.skill.sft import Workplace
    from adapt.skill.vector import save_vector

    parts, domain, facts = _source(given)
    grpo = GrpoSettings(steps=given["steps"], seed=given["seed"], threads=given["threads"])
    if work and work.is_file():
        raise ConfigError(f"--work {work} is a file", "give a folder")
    refuse_below_file("--work", work or out)
    place = Workplace(
        base, settings, work or Path(f"{out.absolute()}-work"), given["seed"], given["threads"]
    )
    place.work.mkdir(parents=True, exist_ok=True)
    with CycleView() as view:
        try:
            tensors, rounds = train_rounds(
                place, parts, grpo, view.moving, held_out=given["held_out"],
                finished=lambda told: _tell(view, told),
            )  # fmt: skip
        except KeyboardInterrupt:
            view.still()
            view.line(escape(f"stopped; the same command goes on from what is in {place.work}"))
            raise
    last = rounds[-1]
    if last.after <= last.before:
        raise StageError(
            f"RL did not help: of {given['held_out']} held-out games {last.before:.0%} were solved "
            f"before, {last.after:.0%} after; nothing is written to {out}",
            "a source with more tools helps most; few --held-out games tell little. With more "
            f"--steps it goes on from {place.work}",
        )
    recipe = {
        "command": "perennial skill train", **facts,
        "update": settings.update.model_dump(mode="json"), "grpo": asdict(grpo),
    }  # fmt: skip
    record = save_vector(
        tensors, out, base, domain=domain, recipe=recipe, rounds=len(rounds),
        facts={"rounds_measured": [told.to_json() for told in rounds]},
    )  # fmt: skip
    rows = [
        {"round": n, "part": _short(told.part), "before": told.before, "after": told.after,
         "steps": len(told.curve)}
        for n, told in enumerate(rounds, 1)
    ]  # fmt: skip
    value = {"vector": str(out), "digest": record.digest, "rounds": rows}
    options.put(value, Group(table(rows, *rows[0]), escape(f"{out}: {record.digest[:12]}")))
    return 0


def _source(given: dict[str, Any]) -> tuple[Sequence["Part"], str, dict[str, Any]]:
    """The parts of a source domain, its name, and what the card says of it."""
    from adapt.skill.source import question_parts, tool_parts

    folder, places, rounds = given["source"], given["questions"], given["rounds"]
    if places is not None:
        if folder or given["categories"]:
            raise ConfigError(
                "--questions excludes --source and --category", "give the one or the others"
            )
        parts = question_parts(QUESTION_SEED + given["seed"], places, rounds)
        return parts, "closed-book questions", {
            "source": "fictional encyclopedia", "places": places,
            "rewards": asdict(parts[0].rewards),
        }  # fmt: skip
    catalogue = read_catalogue(folder) if folder else build_catalogue(0)
    categories = given["categories"] or ([] if folder else list(SOURCE))
    tools = tool_parts(catalogue, categories, rounds)
    return tools, ", ".join(categories) or str(folder), {
        "source": str(folder) if folder else "virtual API universe", "categories": categories,
        "rewards": asdict(tools[0].rewards), "kinds": dict(tools[0].kinds),
    }  # fmt: skip


def _short(part: str) -> str:
    names = part.split(", ")
    return part if len(names) <= 5 else f"{', '.join(names[:4])} and {len(names) - 4} more"


def _tell(view: CycleView, told: "Round") -> None:
    view.still()
    # Names of tools are somebody else's: read as markup, a bracket would end hours of work.
    said = escape(
        f"{_short(told.part)}: {told.before:.0%} of the held-out games before, {told.after:.0%} "
        f"after {len(told.curve)} steps ({told.seconds / 60:.0f} min) {told.stopped}"
    )
    view.line(said.rstrip())


def extract(options: Options, before: Path, after: Path, out: Path, given: dict[str, Any]) -> int:
    """The vector between two full checkpoints, cut to a rank; the error of every tensor.

    `given`: `model` (the base that it is for), `rank`, `domain`.
    """
    settings = options.settings(model=given["model"])
    base = find_model(settings.model)
    _refuse_taken(out)
    from adapt.skill.extract import extract as difference
    from adapt.skill.vector import save_vector

    with CycleView() as view:
        found = difference(
            before, after, given["rank"],
            lambda done, total, name: view.moving(f"{done} of {total}: {name}"),
        )  # fmt: skip
    cuts = [asdict(cut) for cut in found.cuts]
    record = save_vector(
        found.tensors, out, base, domain=given["domain"],
        recipe={
            "command": "perennial skill extract", "before": str(before), "after": str(after),
            "rank": given["rank"],
        },
        rounds=1, facts={"error": found.error, "cuts": cuts, "left_out": found.left_out},
    )  # fmt: skip
    value = {
        "vector": str(out), "digest": record.digest, "error": found.error, "cuts": cuts,
        "left_out": found.left_out,
    }  # fmt: skip
    rows = [
        {"module": c.module, "rank": c.rank, "norm": f"{c.norm:.4g}", "cut off": f"{c.error:.2%}"}
        for c in found.cuts
    ]
    left = f"; left out, since a LoRA cannot hold them: {', '.join(found.left_out)}"
    options.put(
        value,
        Group(
            table(rows, *rows[0]),
            escape(
                f"{out}: {record.digest[:12]}, {found.error:.2%} of the difference is not in it"
                + (left if found.left_out else "")
            ),
        ),
    )
    return 0


def combine(
    options: Options, parts: Sequence[str], out: Path, model: str | None, domain: str | None
) -> int:
    """The sum of vectors, each times its factor: DIR, DIR*0.5, DIR*-1 (which takes it away)."""
    settings = options.settings(model=model)
    base = find_model(settings.model)
    _refuse_taken(out)
    named = [_factor(part) for part in parts]
    from safetensors.torch import load_file

    from adapt.compose import Part, compose
    from adapt.skill.vector import WEIGHTS, load_vector, save_vector

    vectors = [load_vector(path, base) for path, _ in named]
    with tempfile.TemporaryDirectory() as folder:
        composed = compose([Part(path, scale) for path, scale in named], Path(folder))
        tensors = load_file(composed.path / WEIGHTS)
    largest = max(
        abs(scale) * _size(v.tensors) for v, (_, scale) in zip(vectors, named, strict=True)
    )
    if _size(tensors) <= 1e-6 * largest:
        raise ConfigError("the sum is nothing: the parts cancel out", "change the factors")
    summed = [
        {"digest": v.record.digest, "domain": v.record.domain, "factor": scale}
        for v, (_, scale) in zip(vectors, named, strict=True)
    ]
    words = domain or " + ".join(f"{s['factor']:g} x ({s['domain']})" for s in summed)
    record = save_vector(
        tensors, out, base, domain=words,
        recipe={
            "command": "perennial skill combine",
            "sum": [
                {**part, "recipe": v.record.recipe} for part, v in zip(summed, vectors, strict=True)
            ],
        },
        rounds=max(v.record.rounds for v in vectors), facts={},
    )  # fmt: skip
    value = {"vector": str(out), "digest": record.digest, "rank": composed.rank, "sum": summed}
    told = f"{out}: {record.digest[:12]}, rank {composed.rank}: {words}"
    options.put(value, escape(told))
    return 0


def inspect(
    options: Options, vector: Path, against: Path | None, mask: Path | None, png: Path | None,
    html: Path | None,
) -> int:  # fmt: skip
    """What a vector is, how large it is where, and how it lies to another change."""
    refuse_folders({"--png": png, "--html": html})
    from adapt.compose import changes_of
    from adapt.loki.selection import Mask
    from adapt.skill.angle_map import write_html, write_png
    from adapt.skill.geometry import angles, share_in_rows, whole
    from adapt.skill.vector import read_card

    record, own = read_card(vector), changes_of(vector)
    rows_of = Mask.load(mask) if mask else None
    if rows_of and rows_of.base_digest != record.base_digest:
        raise ConfigError(
            f"{mask} is of another base ({rows_of.base_digest[:12]}) than the vector "
            f"({record.base_digest[:12]})", "give a mask of the vector's base",
        )  # fmt: skip
    if against and (against / "card.json").exists():
        other = read_card(against)
        if other.base_digest != record.base_digest:
            raise ConfigError(
                f"{against} is of another base ({other.base_digest[:12]}) than {vector} "
                f"({record.base_digest[:12]})", "compare changes of one model",
            )  # fmt: skip
    found = angles(own, changes_of(against) if against else {})
    rows = [_angle_row(angle, against is not None) for angle in [*found, whole(found)]]
    for path, write in ((png, write_png), (html, write_html)):
        if path is not None:
            write(found, f"{record.domain}, {record.digest[:12]}", path, cosines=bool(against))
    value: dict[str, Any] = {
        **record.model_dump(mode="json"),
        "modules": [_angle_value(angle, against is not None) for angle in found],
        "whole": _angle_value(whole(found), against is not None),
        "share_in_rows": share_in_rows(own, rows_of) if rows_of else None,
        "pictures": [str(path) for path in (png, html) if path],
    }  # fmt: skip
    rounds = "1 round" if record.rounds == 1 else f"{record.rounds} rounds"
    lines = [
        escape(
            f"{record.domain or 'no domain'}: {rounds}, {record.digest[:12]}, "
            f"for base {record.base_digest[:12]}"
        )
    ]
    if mask:
        lines.append(f"{value['share_in_rows']:.2%} of its squared norm lies in the mask's rows")
    drawn = [escape(f"written: {', '.join(value['pictures'])}")] if value["pictures"] else []
    options.put(value, Group(*lines, table(rows, *rows[0]), *drawn))
    return 0


def _angle_row(angle: "Angle", compared: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"module": angle.module, "norm": f"{angle.norm:.4g}"}
    if compared:
        row |= {"other": f"{angle.other:.4g}", "cosine": f"{angle.cosine:+.3f}"}
    return row


def _angle_value(angle: "Angle", compared: bool) -> dict[str, Any]:
    # A cosine of 0 would read as measured.
    return asdict(angle) | ({} if compared else {"other": None, "cosine": None})


def _factor(part: str) -> tuple[Path, float]:
    path, star, factor = part.rpartition("*")
    if not star:
        return Path(part), 1.0
    try:
        scale = float(factor)
    except ValueError:
        scale = math.nan
    if not path.strip() or not math.isfinite(scale):
        raise ConfigError(
            f"{part!r} is no folder times a finite number", "write DIR, DIR*0.5 or DIR*-1"
        )
    if scale == 0:
        raise ConfigError(f"{part!r} adds nothing", "leave it out, or give another factor")
    return Path(path.strip()), scale


def _size(tensors: Mapping[str, "Tensor"]) -> float:
    """The Frobenius norm of the whole change."""
    from adapt.loki.rows import changes_of_tensors
    from adapt.skill.geometry import angles, whole

    return whole(angles(changes_of_tensors(tensors), {})).norm


def _refuse_taken(out: Path) -> None:
    """Raises ConfigError where something is that a vector must not be written over or into."""
    refuse_below_file("--out", out)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file", "give a folder")
    if (out / "config.json").exists():
        # A LoRA beside the weights makes another model of the folder, for transformers too.
        raise ConfigError(f"--out {out} holds a model", f"give another folder, such as {out}/skill")
    if (out / "card.json").exists():
        raise ConfigError(
            f"--out {out} holds a vector already", "give another folder, or remove it"
        )
