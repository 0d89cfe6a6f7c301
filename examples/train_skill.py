"""Make the skill vector of a model: `python -m examples.train_skill --out agent/pico/skill`.

PaST (arXiv 2601.11258): per round, the documentation of some source tools is learned (LoKI, as an
update cycle does it), then closed-book tasks on them are played and rewarded (GRPO); the adapter is
carried from one round to the next. Measured on held-out tasks of the source. A killed run goes on
where it was. About five minutes on two cores for the embedded model.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from transformers import AutoModelForCausalLM, AutoTokenizer

from adapt.base import BaseModel, conversation, find_model, read_conversations
from adapt.loki.attribution import attribute
from adapt.loki.batches import cut_prompts
from adapt.loki.implant import ImplantSettings, implant
from adapt.loki.rows import load_rows
from adapt.loki.selection import Mask, select
from adapt.render import Renderer
from adapt.skill.environment import Episode, Rewards
from adapt.skill.rollout import Sampler, end_token, rollout
from adapt.skill.train import GrpoSettings, train_skill
from adapt.skill.vector import save_vector
from adapt.synthesize import synthesize
from agent.config import UpdateSettings
from examples.pico.stream import Stream
from store.records import Document, Example, digest_of, utc_now
from tools.virtual_api.catalogue import Catalogue, Tool, build_catalogue
from tools.virtual_api.tasks import Task, TaskKind, TaskWriter

SOURCE = ("Logistics", "Events")
"""Categories that the embedded model has read schemas of, but does not know by heart."""
KINDS: tuple[tuple[TaskKind, float], ...] = (
    ("single", 0.45), ("multi", 0.25), ("cross", 0.15), ("none", 0.15),
)
OFFERED = (3, 6)
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


def task_source(
    catalogue: Catalogue, tools: Sequence[Tool], banned: frozenset[str] = frozenset()
) -> Callable[[random.Random], Task]:
    """A writer of tasks over some tools, all randomness from its generator; none of `banned`."""

    def write(rng: random.Random) -> Task:
        while True:
            kind = rng.choices([k for k, _ in KINDS], [w for _, w in KINDS])[0]
            task = TaskWriter(catalogue, tools, rng, OFFERED).write(kind)
            if task.digest not in banned:
                return task

    return write


def held_out_tasks(catalogue: Catalogue, tools: Sequence[Tool], count: int) -> list[Task]:
    """Tasks that training never plays."""
    rng = random.Random(f"held-out/{catalogue.seed}")
    write = task_source(catalogue, tools)
    return [write(rng) for _ in range(count)]


def general_examples(base: BaseModel, count: int, seed: int) -> list[Example]:
    """Conversations that must not be forgotten: the model's own, else the pretraining stream."""
    if base.general_corpus:
        found = read_conversations(base.general_corpus)
        return random.Random(f"{seed}/general").sample(found, min(count, len(found)))
    stream = Stream(seed)
    stream.progress = 1.0
    return [conversation(plain(c.messages), c.tools) for c in islice(stream, count)]


def plain(messages: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Messages whose tool calls are `{"name", "arguments"}`."""
    for m in messages:
        yield {**m, "tool_calls": [c["function"] for c in m.get("tool_calls", ())]}


def documents_of(tools: Sequence[Tool]) -> list[Document]:
    """The documentation of tools as an update cycle would take it in."""
    texts = [json.dumps(tool.to_json()) for tool in tools]
    return [
        Document(digest=digest_of(text), source="skill", address=tool.name, title=tool.name,
                 text=text, kind="api", fetched_at=utc_now())
        for tool, text in zip(tools, texts, strict=True)
    ]


def load_model(base: BaseModel) -> Any:
    """The base in float32, ready to run."""
    return AutoModelForCausalLM.from_pretrained(
        base.path, dtype=torch.float32, attn_implementation="sdpa"
    ).eval()


@contextmanager
def bar(text: str) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar; call it with done, total and a remark."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn(), TextColumn("{task.fields[remark]}"))
    with Progress(*columns, console=console) as progress:
        row = progress.add_task(text, total=None, remark="")
        yield lambda done, total, remark: progress.update(
            row, completed=done, total=total, remark=remark)


def make_mask(place: Workplace) -> Mask:
    """The rows that may move, once per base."""
    path = place.work / "mask.json"
    update = UpdateSettings()
    if path.is_file() and Mask.load(path).base_digest == place.base.digest:
        return Mask.load(path)
    corpus = general_examples(place.base, 300, place.seed)
    renderer = Renderer(place.tokenizer)
    prompts = cut_prompts([renderer(e) for e in corpus], place.seed, 512)
    with bar("attribution") as show:
        counts = attribute(load_model(place.base), prompts, update.quota_percent,
                           progress=lambda done, total: show(done, total, ""))
    mask = select(counts, place.base.digest, digest_of([e.digest for e in corpus]))
    mask.save(path)
    return mask


def learn_documents(place: Workplace, tools: Sequence[Tool], name: str, epochs: int) -> Any:
    """theta_SFT: the base with the documentation of `tools` in its rows, and its digest."""
    update, mask = UpdateSettings(), make_mask(place)
    examples = [e for e in synthesize(documents_of(tools), place.seed) if e.split == "train"]
    share = update.replay_share
    examples += general_examples(place.base, round(len(examples) * share / (1 - share)), place.seed)
    settings = ImplantSettings(
        epochs=epochs, learning_rate=update.learning_rate, batch_tokens=update.batch_tokens,
        checkpoint_every=50, threads=place.threads, seed=place.seed,
    )
    identity = digest_of([mask.digest, asdict(settings), [e.digest for e in examples]])
    folder, done = place.work / f"{name}-sft", place.work / f"{name}-sft.done"
    model = load_model(place.base)
    if not (done.is_file() and done.read_text() == identity):
        with bar(f"{name}: documents") as show:
            implant(
                model, place.tokenizer, examples, mask, settings, folder,
                place.work / f"{name}-sft-checkpoint",
                lambda s: show(s["step"], s["steps"], f"loss {s['loss']:.3f}"),
                log_path=place.work / f"{name}-sft.jsonl",
            )
        done.write_text(identity)
    with torch.no_grad():
        layers = model.get_submodule("model.layers").children()
        for layer, rows, delta in zip(layers, mask.rows, load_rows(folder, mask), strict=True):
            layer.get_parameter("mlp.down_proj.weight")[list(rows)] += delta
    return model, identity


def measure(
    place: Workplace, model: Any, tasks: Sequence[Task], max_new_tokens: int
) -> dict[str, float]:
    """Closed-book success, greedy: over all tasks, and per kind."""
    renderer = Renderer(place.tokenizer)
    end = end_token(renderer)
    played = []
    for start in range(0, len(tasks), 64):
        episodes = [Episode(t, place.catalogue) for t in tasks[start : start + 64]]
        sampler = Sampler(model, end, temperature=0.0, max_new_tokens=max_new_tokens)
        played += rollout(sampler, renderer, episodes, end)
    scores: dict[str, float] = {}
    for kind in ("all", *(k for k, _ in KINDS)):
        own = [r.outcome.solved for t, r in zip(tasks, played, strict=True)
               if kind in ("all", t.kind)]
        scores[kind] = round(sum(own) / max(1, len(own)), 4)
    return scores
