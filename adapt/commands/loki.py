"""`perennial loki`: which rows of a model matter least, chosen and looked at."""

import json
from pathlib import Path
from typing import Any, cast

from rich.console import Group

from adapt.base import attribution_corpus, find_model
from adapt.commands import Options, refuse_folders
from adapt.loki.definitions import find_definition
from adapt.loki.heat_map import layer_rows, write_html, write_png
from adapt.loki.scores import Attribution
from adapt.loki.selection import Mask, Rule, rows_per_layer, select
from adapt.show import CycleView, table
from adapt.stage import REQUEST, run_stage
from agent.config import quota_of
from store.errors import ConfigError, ModelError

FOUND, MASK = "attribution.safetensors", "mask.json"
STAGE, STEPS = "adapt.stages:attribute_stage", 7


def attribute(
    options: Options, out: Path, model: str | None, corpus: Path | None, given: dict[str, Any]
) -> int:
    """Score the rows over a corpus into the folder `out`; it goes on where it was stopped.

    `given`: `definition`, `quota` (None for the usual one), `prompts`, `seed`, `workers`.
    """
    settings = options.settings(model=model)
    update = settings.update
    base = find_model(settings.model)
    quota = given["quota"]
    if quota is None:
        quota = quota_of(update, settings.engine, base.d_model)
    # Before a process is started, and a folder made, for what cannot be.
    rows_per_layer(base.d_model, quota)
    find_definition(given["definition"], STEPS)
    path = corpus or attribution_corpus(update, base)
    if path is None or not path.is_file():
        raise ConfigError(
            f"the corpus {path} is not a file" if path else "this model brings no general corpus",
            "give --corpus: a JSON-lines file of conversations, prompts or MMLU questions",
        )
    request = {
        "model_dir": str(base.path),
        "base_digest": base.digest,
        "conversations": str(path.resolve()),
        "quota_percent": quota,
        **{name: value for name, value in given.items() if name != "quota"},
    }
    _refuse_other(out, request)
    result = _scored(request, out)
    told = ("definition", "corpus", "corpus_digest", "samples", "rank", "seconds")
    facts = {k: result[k] for k in told} | {"quota": quota}
    facts["seconds"] = round(facts["seconds"], 1)
    value = facts | {"attribution": str(out / FOUND), "mask": str(out / MASK)}
    lines = [f"{name.replace('_', ' '):<14} {text}" for name, text in value.items()]
    options.put(value, "\n".join(lines))
    return 0


def _scored(request: dict[str, Any], out: Path) -> dict[str, Any]:
    """What the stage says, shown as it goes on."""
    reached = ""
    with CycleView() as view:

        def moving(said: dict[str, Any]) -> None:
            nonlocal reached
            reached = f"{said['done']} of {said['total']} prompts"
            left = f", {said['left']:.0f} s left" if said.get("left") is not None else ""
            view.moving(f"scoring the rows, {reached}{left}")

        view.moving("loading the model")
        try:
            result = run_stage(STAGE, request, out, moving)
        except KeyboardInterrupt:
            view.still()
            view.line(f"stopped at {reached or 'the start'}; the same command goes on from there")
            raise
        if not reached:
            view.still()
            view.line(f"{out} has these scores already; nothing was computed")
        return result


def _refuse_other(out: Path, request: dict[str, Any]) -> None:
    """Raises ConfigError where `out` holds the result of another request, which would be lost."""
    try:
        before = json.loads((out / REQUEST).read_text())["request"]
    except (OSError, ValueError, KeyError):
        if out.exists() and not out.is_dir():
            raise ConfigError(f"--out {out} is a file", "give a folder") from None
        return
    changed = sorted(k for k in {*before, *request} if before.get(k) != request.get(k))
    # How many processes work changes no table.
    if [name for name in changed if name != "workers"]:
        raise ConfigError(
            f"{out} holds scores with another {', '.join(changed)}", "give another folder"
        )


def select_rows(
    options: Options, source: Path, out: Path, rule: str, quota: float | None, rows: int | None,
    seed: int, base: str | None,
) -> int:  # fmt: skip
    """Choose rows of an attribution by a rule, and write the mask."""
    if quota is not None and rows is not None:
        raise ConfigError(f"--quota {quota:g} and --rows {rows} are both given", "give one")
    found, beside = _read(source)
    digest = base or (beside.base_digest if beside else "")
    if not digest:
        raise ConfigError(f"{source} has no {MASK} that names its base", "give --base DIGEST")
    if beside and digest != beside.base_digest:
        raise ConfigError(
            f"--base {digest} is not the base of {source}: {beside.base_digest}", "leave --base"
        )
    refuse_folders({"--out": out})
    mask = select(found, digest, cast(Rule, rule), quota=quota, rows=rows, seed=seed)
    mask.save(out)
    value = {
        "mask": str(out), "digest": mask.digest, "rule": mask.rule, "rank": mask.rank,
        "quota": mask.quota, "rows": [len(layer) for layer in mask.rows],
    }  # fmt: skip
    options.put(value, f"{mask.rule}: {sum(value['rows'])} rows, rank {mask.rank}, in {out}")
    return 0


def inspect(
    options: Options, source: Path, mask: Path | None, png: Path | None, html: Path | None
) -> int:
    """What an attribution says of each layer, and a heat map of its rows."""
    found, beside = _read(source)
    refuse_folders({"--png": png, "--html": html})
    chosen = Mask.load(mask) if mask else beside
    if chosen is not None and (len(chosen.rows), chosen.d_model) != found.shape:
        raise ModelError(
            f"the mask has {len(chosen.rows)} layers of {chosen.d_model} rows, the attribution "
            f"{found.shape[0]} of {found.shape[1]}",
            "give the mask that was selected from this attribution",
        )
    if chosen and beside and chosen.base_digest != beside.base_digest:
        raise ModelError(
            f"the mask {mask} is of the base {chosen.base_digest[:12]}, the attribution of "
            f"{beside.base_digest[:12]}",
            "give the mask that was selected from this attribution",
        )
    rows = layer_rows(found, chosen)
    for path, write in ((png, write_png), (html, write_html)):
        if path is not None:
            write(found, chosen, path)
    value = {
        "definition": found.definition, "steps": found.steps, "samples": found.samples,
        "corpus": found.corpus, "corpus_digest": found.corpus_digest,
        "rule": chosen.rule if chosen else None, "layers": rows,
        "pictures": [str(path) for path in (png, html) if path],
    }  # fmt: skip
    head = f"{found.definition}, {found.steps} steps, {found.samples} samples: {found.corpus}"
    drawn = [f"written: {', '.join(value['pictures'])}"] if value["pictures"] else []
    options.put(value, Group(head, table(rows, *rows[0]), *drawn))
    return 0


def _read(source: Path) -> tuple[Attribution, Mask | None]:
    """An attribution, by its file or its folder, and the mask that lies beside it."""
    path = source / FOUND if source.is_dir() else source
    mask = path.parent / MASK
    return Attribution.load(path), Mask.load(mask) if mask.is_file() else None
