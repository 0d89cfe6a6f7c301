"""The heavy stages as functions of a JSON request: attribution, implanting, composing, merging,
probing.

Each loads a model, calls one numeric module, names what it wrote. Runs in the child process of
`adapt.stage.run_stage`; adapt.skill.sft has attribution in its own. Every result can be made again
from the request with the same bytes, and an interrupted implant goes on from its checkpoint.

Common request fields: `model_dir` (path), `threads` (optional; 0 leaves the process's own).
"""

import functools
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from adapt.compose import Part, compose
from adapt.loki.attribution import attribute
from adapt.loki.corpus import Corpus, read_corpus
from adapt.loki.implant import implant
from adapt.loki.scores import Attribution
from adapt.loki.selection import Mask, select
from adapt.loki.settings import ImplantSettings
from adapt.loki.workers import attribute_in_workers
from adapt.merge import merge
from adapt.models import load_model, load_tokenizer
from adapt.probe import make_probe
from adapt.render import Renderer
from agent.prompts import SYSTEM
from store.errors import ConfigError, UserError
from store.files import digest_of_directory
from store.records import Example

Progress = Callable[[dict[str, Any]], None]

_MAX_PROMPT = 512


def attribute_stage(request: dict[str, Any], work_dir: Path, progress: Progress) -> dict[str, Any]:
    """Score the rows over general prompts and select a mask.

    Request: `conversations` (a file that adapt.loki.corpus reads, `prompts` of which are used),
    `quota_percent`, `seed`, `base_digest`, optional `rule`, `definition` and `workers`.
    Result: `mask` and `attribution` (paths), `digest` (of the mask), `rank`, `definition`,
    `samples`, `corpus` (in words), `corpus_digest`, `seconds`. An interrupted stage goes on.
    """
    began = time.monotonic()
    if not request.get("conversations"):
        raise ConfigError(
            "this base model brings no general corpus, which attribution needs",
            "set update.general_corpus to a JSON-lines file of conversations",
        )
    seed = request.get("seed", 0)
    _set_threads(request)
    corpus = read_corpus(
        Path(request["conversations"]),
        Renderer(load_tokenizer(request["model_dir"])),
        prompts=request.get("prompts", 300),
        seed=seed,
    )
    found = _attributed(request, corpus, work_dir, progress).of(corpus.words, corpus.digest)
    found.save(work_dir / "attribution.safetensors")
    mask = select(found, request["base_digest"], request.get("rule", "lowest"), seed=seed)
    mask.save(work_dir / "mask.json")
    return {
        "mask": str(work_dir / "mask.json"),
        "attribution": str(work_dir / "attribution.safetensors"),
        "digest": mask.digest,
        "rank": mask.rank,
        "definition": found.definition,
        "samples": found.samples,
        "corpus": corpus.words,
        "corpus_digest": corpus.digest,
        "seconds": time.monotonic() - began,
    }


def _attributed(
    request: dict[str, Any], corpus: Corpus, work_dir: Path, progress: Progress
) -> Attribution:
    """The corpus scored, in this process or in `workers` of them."""
    given: dict[str, Any] = {
        "definition": request.get("definition", "release"),
        "progress": lambda far: progress(
            {"done": far.done, "total": far.total, "text": "prompts", "left": far.seconds_left}
        ),
        "state": work_dir / "state.safetensors",
        "identity": request["base_digest"],
    }
    prompts, quota, workers = corpus.prompts, request["quota_percent"], request.get("workers", 1)
    if workers == 1:
        return attribute(load_model(request["model_dir"]), prompts, quota, **given)
    threads = request.get("threads") or max(1, (os.cpu_count() or 1) // workers)
    load = functools.partial(load_model, request["model_dir"])
    return attribute_in_workers(load, prompts, quota, workers=workers, threads=threads, **given)


def implant_stage(request: dict[str, Any], work_dir: Path, progress: Progress) -> dict[str, Any]:
    """Train the mask's rows on examples.

    Request: `examples` and optional `again`, `replay` and `held_out` (JSON-lines files), `mask`
    (path), `settings` (fields of ImplantSettings), optional `warm_start` (adapter directory),
    `base_digest` and `max_rank` (what the mask and the engine must allow).
    Result: the fields of ImplantResult; `path` is the adapter, `digest` that of its files. The live
    log is `loss.jsonl`.
    """
    settings = ImplantSettings(**request.get("settings", {}))
    warm_start, held_out = request.get("warm_start"), request.get("held_out")
    again, replay = request.get("again"), request.get("replay")
    examples = _examples(request["examples"])
    mask = Mask.load(Path(request["mask"]))
    # Gradients of what is already learned are denormal numbers, on which a CPU is slow. Set before
    # the first worker thread, which takes it over.
    torch.set_flush_denormal(True)
    model, tokenizer = _load(request)

    try:
        result = implant(
            model,
            tokenizer,
            examples,
            mask,
            settings,
            work_dir / "adapter",
            work_dir / "checkpoint",
            progress,
            warm_start=Path(warm_start) if warm_start else None,
            again=_examples(again) if again else (),
            replay=_examples(replay) if replay else (),
            held_out=_examples(held_out) if held_out else (),
            log_path=work_dir / "loss.jsonl",
            base_digest=request.get("base_digest"),
            max_rank=request.get("max_rank"),
        )
    finally:
        torch.set_flush_denormal(False)
    return asdict(result) | {"digest": digest_of_directory(Path(result.path))}


def compose_stage(request: dict[str, Any], work_dir: Path, progress: Progress) -> dict[str, Any]:
    """Write sums of adapters as one adapter each, and probe them.

    Request: `candidates`, each a list of `{"path", "scale"}`; `prompts` and optional `k` as for
    probing. Result: `candidates`, each with `path` (the adapter), `rank` (its largest), `probe`.
    """
    made = []
    for number, candidate in enumerate(request["candidates"]):
        parts = [Part(Path(part["path"]), part["scale"]) for part in candidate]
        composition = compose(parts, work_dir / f"adapter-{number}")
        probed = probe_stage({**request, "adapter_dir": str(composition.path)}, work_dir, progress)
        made.append({"path": str(composition.path), "rank": composition.rank, **probed})
    return {"candidates": made}


def merge_stage(request: dict[str, Any], work_dir: Path, progress: Progress) -> dict[str, Any]:
    """Add an adapter to a base as whole weights, and probe them without an adapter.

    Request: `adapter_dir`; `prompts` and optional `k` as for probing. Result: `path` (a model
    directory), `format` (of the changed weights), `bytes`, `probe`. An interrupted stage begins
    anew.
    """

    def on_progress(done: int, total: int) -> None:
        progress({"done": done >> 20, "total": total >> 20, "text": "MiB of merged weights"})

    merged = merge(
        Path(request["model_dir"]),
        Path(request["adapter_dir"]),
        work_dir / "merged",
        progress=on_progress,
    )
    own = {"model_dir": str(merged.path), "adapter_dir": None}
    probed = probe_stage({**request, **own}, work_dir, progress)
    return {"path": str(merged.path), "format": merged.format, "bytes": merged.bytes, **probed}


def probe_stage(request: dict[str, Any], work_dir: Path, progress: Progress) -> dict[str, Any]:
    """The likeliest next tokens of a version, in fp32.

    Request: `adapter_dir` (path or null), `prompts` (rendered text) or `questions` (what a user
    says; the chat template is applied), optional `k`. Result: `probe`, the JSON of a Probe.
    """
    _set_threads(request)
    adapter = request.get("adapter_dir")
    probe = make_probe(
        Path(request["model_dir"]),
        Path(adapter) if adapter else None,
        request.get("prompts") or _asked(request),
        request.get("k", 5),
    )
    progress({"done": len(probe.prompts), "total": len(probe.prompts), "text": "probe"})
    return {"probe": probe.model_dump(mode="json")}


def _asked(request: dict[str, Any]) -> list[str]:
    """The request's questions as the model is asked them."""
    tokenizer = load_tokenizer(request["model_dir"])
    return [
        tokenizer.apply_chat_template(
            [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}],
            tokenize=False,
            add_generation_prompt=True,
        )
        for question in request["questions"]
    ]


def _set_threads(request: dict[str, Any]) -> None:
    if request.get("threads"):
        torch.set_num_threads(request["threads"])


def _load(request: dict[str, Any]) -> tuple[Any, Any]:
    """Model and tokenizer of a request."""
    _set_threads(request)
    return load_model(request["model_dir"]), load_tokenizer(request["model_dir"])


def _examples(path: str) -> list[Example]:
    try:
        lines = Path(path).read_text().splitlines()
        return [Example.model_validate_json(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise UserError(f"the examples {path} cannot be read: {error}", "synthesise again") from (
            error
        )
