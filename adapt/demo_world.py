"""What the demo drops into the folder, and what it asks: APIs and places no model has seen.

The questions are written by the universe, not from the documents: the update is trained on its
own rewording of the documents and never sees these queries or question forms.
"""

import json
import random
from pathlib import Path

from adapt.evals.encyclopedia import articles, facts
from adapt.evals.items import Item, Suite, task_check
from adapt.evals.suites import catalogue_of
from agent.prompts import SYSTEM, names_only
from store.records import Message
from tools.virtual_api.catalogue import schema_of
from tools.virtual_api.tasks import TaskKind, TaskWriter

CATEGORY = "Museums"
"""One of the categories held out of every training stream."""
TASKS: tuple[tuple[TaskKind, int], ...] = (("single", 100), ("multi", 20))
PLACES, PLACE_SEED, ASKED_FORM = 16, 77, 4
"""Three facts a place; the question form that the synthesis of examples does not write."""


def drop_documents(folder: Path) -> int:
    """Write the API documentation and the articles; the number of files."""
    folder.mkdir(parents=True, exist_ok=True)
    tools = catalogue_of(0).category(CATEGORY)
    for tool in tools:
        text = json.dumps(tool.to_json(), indent=2) + "\n"
        (folder / f"{tool.name.lower()}.json").write_text(text)
    pages = articles(PLACE_SEED, PLACES)
    for name, text in pages.items():
        (folder / name).write_text(text)
    return len(tools) + len(pages)


def task_suite() -> Suite:
    """Tasks on the dropped APIs with only their names shown."""
    catalogue = catalogue_of(0)
    rng = random.Random("demo")
    writer = TaskWriter(catalogue, catalogue.category(CATEGORY), rng, offered=(4, 6))
    items: dict[str, Item] = {}
    for kind, count in TASKS:
        wanted = len(items) + count
        while len(items) < wanted:
            task = writer.write(kind)
            tools = tuple(names_only(schema_of(catalogue.by_function[f])) for f in task.offered)
            item = Item(
                suite="demo-tasks",
                slice=kind,
                messages=_asked(task.query),
                tools=tools,
                check=task_check(task, catalogue.seed),
            )
            items[item.digest] = item
    return Suite(name="demo-tasks", items=tuple(items.values()))


def fact_suite() -> Suite:
    """Closed-book questions on the dropped articles."""
    items = tuple(
        Item(
            suite="demo-facts",
            slice="fact",
            messages=_asked(fact.question(ASKED_FORM)),
            check={"kind": "answer", "values": [fact.value]},
        )
        for fact in facts(PLACE_SEED, PLACES)
    )
    return Suite(name="demo-facts", items=items)


def _asked(question: str) -> tuple[Message, ...]:
    return (Message(role="system", content=SYSTEM), Message(role="user", content=question))
