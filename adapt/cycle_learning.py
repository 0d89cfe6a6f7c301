"""The learning stages of an update cycle: from documents to a candidate version.

Each can be run again from its inputs after a kill, with the same digests. Called by adapt.cycle.
"""

import asyncio
import shutil
from pathlib import Path

from adapt.base import (
    attribution_corpus,
    base_of,
    general_corpus,
    read_conversations,
    skill_vector,
)
from adapt.cycle_choosing import candidates_of, choose, parts_of, scales_of
from adapt.cycle_context import Context, Outputs
from adapt.gather import gather
from adapt.line import start_of
from adapt.loki.selection import Mask, rows_per_layer
from adapt.loki.settings import chosen
from adapt.rehearsal import documents_of, examples_of, rehearsed
from adapt.runtime import Runtime
from adapt.standing import Standing
from agent.config import lora_rank_for, quota_of
from store.errors import ConfigError, IntegrityError, ModelError, StageError
from store.files import digest_of_directory, write_atomic
from store.records import (
    DocumentState,
    Example,
    Probe,
    SkillUse,
    Update,
    Version,
    digest_of,
    utc_now,
)

PROBES = ("What is 12 plus 7?", "Which tools do you have?")
"""Asked of every version; two questions on what is new join them."""


async def gather_corpus(context: Context) -> Outputs:
    """Read the sources; the corpus is all accepted documents that the live version has not seen,
    or, where it must be made anew, that the version has not seen at which this begins."""
    runtime = context.runtime
    store = runtime.store
    async with runtime.visit_lock:
        found = await gather(store, runtime.settings, lambda text: context.progress(0, 0, text))
    start = start_of(runtime)
    seen = documents_of(store, start.version.name)
    new = sorted(store.documents.digests(DocumentState.ACCEPTED) - seen)
    refused = [{"address": r.address, "reason": r.reason} for r in found.refused]
    failed = [{"source": v.source, "error": v.error} for v in found.visits if v.error]
    snapshot = store.documents.snapshot(new)
    return {"corpus": snapshot.digest, "new": len(new), "refused": refused, "failed": failed} | (
        start.told()
    )


def learned_documents(runtime: Runtime) -> set[str]:
    """Digests of the documents that the live version and its parents were trained on."""
    return documents_of(runtime.store, runtime.live())


async def attribute_base(context: Context) -> Outputs:
    """The rows that may change: once per base, corpus and rule, then read from the home."""
    runtime = context.runtime
    update = runtime.settings.update
    quota = quota_of(update, runtime.settings.engine, runtime.base.d_model)
    # What no engine can serve must not be trained for hours first.
    _check_rank(runtime, rows_per_layer(runtime.base.d_model, quota))
    corpus = attribution_corpus(update, runtime.base)
    chosen_by = [quota, update.row_rule, update.attribution]
    text = corpus.read_bytes().hex() if corpus else None
    key = digest_of([runtime.base.digest, *chosen_by, text])
    # A folder of its own: what one cycle, or the time before it, has scored is not scored again.
    folder = runtime.home.path / "masks" / key[:16]
    path = folder / "mask.json"
    if not path.is_file():
        request = {
            "model_dir": str(runtime.base.path),
            "base_digest": runtime.base.digest,
            "conversations": str(corpus) if corpus else None,
            "prompts": 300,
            "quota_percent": quota,
            "rule": update.row_rule,
            "definition": update.attribution,
            "seed": update.seed,
        }
        await context.child("adapt.stages:attribute_stage", request, folder)
    try:
        mask = Mask.load(path)
    except ModelError:
        # Every later update would meet it again.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _check_rank(runtime, mask.rank)
    return {"mask": mask.digest, "mask_path": str(path)}


def _check_rank(runtime: Runtime, rows: int) -> None:
    """Raises ConfigError when so many rows of a layer are more than the engine can serve."""
    most = runtime.settings.engine.max_lora_rank
    if rows > most:
        raise ConfigError(
            f"an update of {rows} rows per layer is an adapter of rank {rows}, and the engine "
            f"takes at most {most}",
            f"set engine.max_lora_rank to {lora_rank_for(rows)}, or lower update.quota_percent",
        )


async def implant_update(
    context: Context, corpus: Outputs, examples: Outputs, mask: Outputs
) -> Outputs:
    """Train the rows on new examples and some earlier ones, held to the base on general talk."""
    runtime = context.runtime
    store, update = runtime.store, runtime.settings.update
    new = Standing.of(store).among(store.examples.of_cycle(context.number, "train"))
    start = store.versions.get(corpus.get("start") or runtime.live())
    learned = documents_of(store, start.name)
    earlier = examples_of(store, learned, context.number)
    warm = _rows_of(runtime, start, mask["mask"])
    if warm:
        await asyncio.to_thread(store.artifacts.verify, warm.name)
    # Training begins at what is live (or was before a withdrawn document came in), or at the base,
    # which knows what was merged into it. What is known there is rehearsed, all else is learned.
    known = learned if warm else documents_of(store, runtime.base.merged)
    train = [*new, *(e for e in earlier if not known.issuperset(e.documents))]
    rehearse = [e for e in earlier if known.issuperset(e.documents)]
    if "start" in corpus:
        # What a line's updates taught one after the other was learned again in each that followed;
        # once over, less of it stays (docs/knowledge.md).
        rehearse += train
    again = rehearsed(new, rehearse, update.epochs, f"{update.seed}/{context.number}")
    files = {name: context.work / f"{name}.jsonl" for name in ("examples", "again", "replay")}
    for file, each in zip(files.values(), (train, again, _general(runtime)), strict=True):
        write_atomic(file, "".join(e.model_dump_json() + "\n" for e in each))
    settings = chosen(update)
    request = {
        "model_dir": str(runtime.base.path),
        "base_digest": runtime.base.digest,
        "max_rank": runtime.settings.engine.max_lora_rank,
        "mask": mask["mask_path"],
        **{name: str(file) for name, file in files.items()},
        "settings": settings,
        "warm_start": str(warm) if warm else None,
    }
    result = await context.child("adapt.stages:implant_stage", request)
    if digest_of_directory(Path(result["path"])) != result["digest"]:
        raise IntegrityError(
            f"{result['path']} differs from the digest that was taken when it was trained",
            "see whether the disk is sound; the next update trains it again",
        )
    digest = store.artifacts.put(Path(result["path"]))
    store.versions.add_update(
        Update(
            digest=digest,
            base_digest=runtime.base.digest,
            mask_digest=mask["mask"],
            corpus_digest=corpus["corpus"],
            examples_digest=examples["examples"],
            settings=settings,
            seed=update.seed,
            created_at=utc_now(),
        )
    )
    facts = {k: v for k, v in result.items() if k not in ("path", "digest")}
    return {"update": digest, "train": facts}


def _general(runtime: Runtime) -> list[Example]:
    corpus = general_corpus(runtime.settings.update, runtime.base)
    return read_conversations(corpus) if corpus else []


def _rows_of(runtime: Runtime, version: Version, mask: str) -> Path | None:
    """A version's rows, when they are rows of the same mask."""
    if version.update is None:
        return None
    update = runtime.store.versions.get_update(version.update)
    return runtime.store.artifacts.path(update.digest) if update.mask_digest == mask else None


async def compose_version(context: Context, update: Outputs, corpus: Outputs) -> Outputs:
    """Join the update and the skill vector into one adapter, and take its probe.

    Its parent is the version at which training began.

    Where lambda is not set, an adapter for each of several is made, and the engine tells which is
    best on examples that are for nothing else.
    """
    runtime = context.runtime
    store = runtime.store
    _check_base(runtime, update["update"])
    skill = skill_vector(runtime.settings.update, runtime.base)
    scales = scales_of(runtime.settings.update) if skill else (0.0,)
    # Before anything is made with it: a vector of another base is refused here.
    vector = runtime.skill_vector(skill) if skill and max(scales) > 0 else None
    # A sum with damaged rows would be a version whose digest is right.
    await asyncio.to_thread(store.artifacts.verify, update["update"])
    request = {
        "model_dir": str(runtime.base.path),
        "candidates": parts_of(store.artifacts.path(update["update"]), skill, scales),
        "questions": [*PROBES, *_new_questions(context)],
    }
    result = await context.child("adapt.stages:compose_stage", request)
    chosen, asked = await choose(context, candidates_of(result, scales))
    digest = store.artifacts.put(chosen.path)
    skills: tuple[SkillUse, ...] = ()
    if vector and chosen.scale > 0:
        store.versions.add_skill(vector)
        skills = (SkillUse(vector=vector.digest, scale=chosen.scale),)
    known = store.versions.by_digest(digest)
    if known is None:
        number = store.versions.next_number()
        known = Version(
            name=f"v{number}-{digest[:6]}",
            number=number,
            digest=digest,
            kind="adapter",
            base_digest=runtime.base.digest,
            update=update["update"],
            skills=skills,
            parent=corpus.get("start") or runtime.live(),
            template_digest=runtime.base.template_digest,
            path=digest,
            probe=Probe.model_validate(chosen.probe),
            created_at=utc_now(),
        )
        store.versions.create(known)
    shutil.rmtree(context.work, ignore_errors=True)
    return {"version": known.name, "digest": digest, "scale": chosen.scale, "scales": asked}


def _check_base(runtime: Runtime, update: str) -> None:
    """StageError when the update's rows are of other weights than those of the live version."""
    store = runtime.store
    live, trained_on = store.versions.get(runtime.live()), store.versions.get_update(update)
    served = base_of(store, live, runtime.base)
    if trained_on.base_digest != served.digest:
        raise StageError(
            f"the update was trained on the base {trained_on.base_digest[:12]}, and {live.name}, "
            f"live meanwhile, is of {served.digest[:12]}",
            "run it again: perennial update",
        )


def _new_questions(context: Context) -> list[str]:
    """Two questions on the cycle's documents: there a stale or missing adapter shows at once."""
    held_out = context.runtime.store.examples.of_cycle(context.number, "held_out")
    return [e.messages[-1].content for e in held_out[:2]]
