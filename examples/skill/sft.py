"""theta_SFT: the base with source documentation in its rows, as an update cycle puts it there.

Follows the update settings' defaults. What is done already is not done again. Called by
examples.train_skill.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from transformers import AutoModelForCausalLM

from adapt.base import BaseModel
from adapt.loki.attribution import attribute
from adapt.loki.batches import cut_prompts
from adapt.loki.implant import implant
from adapt.loki.rows import load_rows
from adapt.loki.selection import Mask, select
from adapt.loki.settings import ImplantSettings, chosen
from adapt.render import Renderer
from adapt.synthesize import synthesize
from agent.config import EngineSettings, UpdateSettings, quota_of
from examples.skill.source import documents_of, general_examples
from store.records import digest_of
from tools.virtual_api.catalogue import Catalogue, Tool

console = Console()


@dataclass(frozen=True)
class Workplace:
    """What every round needs."""

    base: BaseModel
    tokenizer: Any
    catalogue: Catalogue
    work: Path
    seed: int
    threads: int


def load_model(base: BaseModel) -> Any:
    """The base in float32, ready to run."""
    return AutoModelForCausalLM.from_pretrained(
        base.path, dtype=torch.float32, attn_implementation="sdpa"
    ).eval()


@contextmanager
def bar(text: str) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar; call it with done, total and a remark."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[remark]}"),
    )
    with Progress(*columns, console=console) as progress:
        row = progress.add_task(text, total=None, remark="")
        yield lambda done, total, remark: progress.update(
            row, completed=done, total=total, remark=remark
        )


def make_mask(place: Workplace) -> Mask:
    """The rows that may move, once per base."""
    path = place.work / "mask.json"
    if path.is_file() and Mask.load(path).base_digest == place.base.digest:
        return Mask.load(path)
    corpus = general_examples(place.base, 300, place.seed)
    renderer = Renderer(place.tokenizer)
    prompts = cut_prompts([renderer(e) for e in corpus], place.seed, 512)
    with bar("attribution") as show:
        found = attribute(
            load_model(place.base),
            prompts,
            quota_of(UpdateSettings(), EngineSettings(), place.base.d_model),
            progress=lambda so_far: show(so_far.done, so_far.total, ""),
        )
    corpus_digest = digest_of([e.digest for e in corpus])
    mask = select(found.of(f"{len(corpus)} conversations", corpus_digest), place.base.digest)
    mask.save(path)
    return mask


def learn_documents(place: Workplace, tools: Sequence[Tool], name: str) -> Any:
    """theta_SFT: the base with the documentation of `tools` in its rows, and its digest."""
    update, mask = UpdateSettings(), make_mask(place)
    examples = [e for e in synthesize(documents_of(tools), place.seed) if e.split == "train"]
    replay = general_examples(place.base, 2000, place.seed)
    settings = ImplantSettings(
        **{**chosen(update), "seed": place.seed}, checkpoint_every=50, threads=place.threads
    )
    identity = digest_of([mask.digest, asdict(settings), [e.digest for e in (*examples, *replay)]])
    folder, done = place.work / f"{name}-sft", place.work / f"{name}-sft.done"
    model = load_model(place.base)
    if not (done.is_file() and done.read_text() == identity):
        with bar(f"{name}: documents") as show:
            implant(
                model,
                place.tokenizer,
                examples,
                mask,
                settings,
                folder,
                place.work / f"{name}-sft-checkpoint",
                lambda said: show(said["done"], said["total"], said["text"]),
                replay=replay,
                log_path=place.work / f"{name}-sft.jsonl",
            )
        done.write_text(identity)
    with torch.no_grad():
        layers = model.get_submodule("model.layers").children()
        for layer, rows, delta in zip(layers, mask.rows, load_rows(folder, mask), strict=True):
            layer.get_parameter("mlp.down_proj.weight")[list(rows)] += delta
    return model, identity
