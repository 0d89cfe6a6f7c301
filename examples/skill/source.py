"""What a skill is learned from: source documentation, tasks on it, and what must not be forgotten.

Everything follows from seeds. Called by examples.train_skill.
"""

import json
import random
from collections.abc import Callable, Sequence

from adapt.base import BaseModel, conversation, read_conversations
from examples.pico.release import general
from store.records import Document, Example, digest_of, utc_now
from tools.virtual_api.catalogue import Catalogue, Tool
from tools.virtual_api.tasks import Task, TaskKind, TaskWriter

KINDS: tuple[tuple[TaskKind, float], ...] = (
    ("single", 0.45),
    ("multi", 0.3),
    ("cross", 0.15),
    ("none", 0.1),
)
OFFERED = (3, 6)
"""How many functions a task offers."""


def task_source(
    catalogue: Catalogue, tools: Sequence[Tool], banned: frozenset[str] = frozenset()
) -> Callable[[random.Random], Task]:
    """A writer of tasks over some tools, all randomness from its generator; none of `banned`."""

    def write(rng: random.Random) -> Task:
        while True:
            kinds: list[TaskKind] = [k for k, _ in KINDS]
            kind = rng.choices(kinds, [w for _, w in KINDS])[0]
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
    return [conversation(**c) for c in general(count, seed)]


def documents_of(tools: Sequence[Tool]) -> list[Document]:
    """The documentation of tools as an update cycle would take it in."""
    texts = [json.dumps(tool.to_json()) for tool in tools]
    return [
        Document(
            digest=digest_of(text),
            source="skill",
            address=tool.name,
            title=tool.name,
            text=text,
            kind="api",
            fetched_at=utc_now(),
        )
        for tool, text in zip(tools, texts, strict=True)
    ]
