"""What a study teaches and what it then asks: small worlds of documents, and the old abilities.

Everything follows from seeds, with its reference answer. It trains and asks nothing. Called by
adapt.reproduce.loki.
"""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from adapt.base import PICO, read_conversations
from adapt.evals.abilities import ABILITIES
from adapt.evals.encyclopedia import KNOWN_SEED, QUESTIONS, articles, facts
from adapt.evals.suites import catalogue_of
from adapt.synthesize import synthesize
from agent.prompts import SYSTEM, names_only
from store.records import Document, Example, Message, digest_of, utc_now
from tools.virtual_api.catalogue import Tool, schema_of
from tools.virtual_api.lexicon import KNOWN_CATEGORIES
from tools.virtual_api.tasks import Task, TaskKind, TaskWriter

TOOLS, PLACES = 2, 8
"""Tools of categories that the model never saw, and places with three facts each, per world."""
ASKED = 4
"""The form of question on a fact that the synthesis of examples never writes."""
CALLS, KEPT, OPEN_BOOK, REFUSALS, CONVERSATIONS, PUZZLES = 60, 100, 100, 50, 150, 60
"""Items: calls on a world's tools; known facts and calls, tasks with schemas, tasks that nothing
serves, held-out general conversations, puzzles of each ability."""

Abilities = dict[str, list[Example]]
"""By name, questions with reference answers (the messages that carry loss)."""


@dataclass(frozen=True)
class World:
    """One set of new documents."""

    examples: list[Example]
    """What an update is trained on."""
    asked: Abilities
    """`calls` and `facts`: what it teaches, in words that training does not use."""


def make_world(seed: int) -> World:
    """Two tools and eight places of their own; worlds of other seeds share no place."""
    rng = random.Random(f"world/{seed}")
    catalogue = catalogue_of(0)
    chosen = rng.sample(catalogue.split("unseen_category"), TOOLS)
    place_seed = 1000 + seed
    documents = [_document(json.dumps(tool.to_json()), tool.name, "api") for tool in chosen]
    documents += [
        _document(text, name, "prose") for name, text in articles(place_seed, PLACES).items()
    ]
    train = [e for e in synthesize(documents, seed) if e.split == "train"]
    asked = {
        "calls": _tasks(chosen, "single", CALLS, f"world/{seed}", names=True),
        "facts": [said(f.question(ASKED), f.value) for f in facts(place_seed, PLACES)],
    }
    return World(train, asked)


def old_abilities() -> Abilities:
    """What the embedded model can do before any update. The same for every world."""
    catalogue = catalogue_of(0)
    known = [t for c in KNOWN_CATEGORIES for t in catalogue.category(c)]
    unseen = catalogue.split("unseen_category")
    rng = random.Random("old/facts")
    world = facts(KNOWN_SEED)
    told = rng.sample(world, min(KEPT, len(world)))
    abilities = {
        "facts by heart": [said(f.question(rng.randrange(len(QUESTIONS))), f.value) for f in told],
        "calls by heart": _tasks(known, "single", KEPT, "old", names=True),
        "calls by schema": _tasks(unseen, "single", OPEN_BOOK, "old"),
        "refusals": _tasks(unseen, "none", REFUSALS, "old"),
        "conversations": _general()[-CONVERSATIONS:],
    }
    for ability in ABILITIES:
        rng = random.Random(f"old/{ability.__name__}")
        made = {p.question: p for p in (ability(rng) for _ in range(3 * PUZZLES))}
        abilities[ability.__name__] = [
            said(p.question, p.answer) for p in list(made.values())[:PUZZLES]
        ]
    return abilities


def general_examples() -> list[Example]:
    """The general corpus without what is asked of it."""
    return _general()[:-CONVERSATIONS]


def _general() -> list[Example]:
    # Each once: one that is asked must not be replayed under another line.
    found = list({e.digest: e for e in read_conversations(PICO / "general.jsonl")}.values())
    random.Random("general").shuffle(found)
    return found


def _tasks(
    tools: Sequence[Tool], kind: TaskKind, count: int, seed: str, *, names: bool = False
) -> list[Example]:
    """The first step of tasks of the universe: the call, or the refusal; each task once."""
    catalogue = catalogue_of(0)
    writer = TaskWriter(catalogue, tools, random.Random(f"{seed}/{kind}"), offered=(4, 6))
    found: dict[str, Example] = {}
    while len(found) < count:
        task = writer.write(kind)
        shown: Iterable[dict[str, Any]] = (
            schema_of(catalogue.by_function[f]) for f in task.offered
        )
        shown = tuple(names_only(schema) if names else schema for schema in shown)
        found[task.digest] = _example(task.query, _first(task), shown)
    return list(found.values())


def _first(task: Task) -> Message:
    """What a right first answer to a task is."""
    if not task.solution:
        return Message(role="assistant", content=task.answer, loss=True)
    call = task.solution[0]
    calls = ({"name": call.function, "arguments": call.arguments},)
    return Message(role="assistant", tool_calls=calls, loss=True)


def said(question: str, answer: str) -> Example:
    """A question with its reference answer."""
    return _example(question, Message(role="assistant", content=answer, loss=True))


def _example(question: str, answer: Message, tools: tuple[dict[str, Any], ...] = ()) -> Example:
    asked = (Message(role="system", content=SYSTEM), Message(role="user", content=question))
    body = [question, answer.model_dump(mode="json"), list(tools)]
    return Example(
        digest=digest_of(body), kind="asked", messages=(*asked, answer), tools=tools, documents=()
    )


def _document(text: str, title: str, kind: Literal["api", "prose"]) -> Document:
    return Document(
        digest=digest_of(text), source="study", address=title, title=title, text=text, kind=kind,
        fetched_at=utc_now(),
    )  # fmt: skip
