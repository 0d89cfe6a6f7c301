"""Builders of suites: what the gate and the benchmark of the embedded model ask.

Pure and seeded: the same arguments give the same digest, and a larger count only adds items. They
ask nothing. Called by adapt.cycle_suites and the command line.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import count as numbers
from typing import Any, Literal, NamedTuple

from adapt.evals.abilities import puzzles
from adapt.evals.encyclopedia import KNOWN_SEED, QUESTIONS, facts
from adapt.evals.items import Item, Suite, task_check
from agent.prompts import SYSTEM, names_only
from store.records import Example, Message, Split, digest_of
from tools.virtual_api.catalogue import Catalogue, Tool, build_catalogue, schema_of
from tools.virtual_api.lexicon import KNOWN_CATEGORIES
from tools.virtual_api.phrasing import Phrasing
from tools.virtual_api.tasks import Task, TaskKind, TaskWriter

CATALOGUE_SEED = 0
catalogue_of = cache(build_catalogue)
"""The universe of a seed, built once per process."""


class Cell(NamedTuple):
    """One slice of a suite of tasks: what kind of task, over which tools."""

    kind: TaskKind
    split: Literal["unseen_category", "unseen_tool", "unseen_instruction", "known_names"]

    @property
    def name(self) -> str:
        """The slice."""
        return f"{self.kind}/{self.split}"


TOOL_CELLS = (
    Cell("single", "unseen_category"), Cell("multi", "unseen_category"),
    Cell("none", "unseen_category"), Cell("single", "unseen_instruction"),
    Cell("cross", "unseen_category"), Cell("single", "unseen_tool"),
    Cell("multi", "unseen_instruction"), Cell("single", "unseen_category"),
)  # fmt: skip
"""The slices of `tools`, in turn; a slice that stands twice has twice the items."""
PICO_SIZES = {"single": 200, "multi": 150, "cross": 100, "none": 150, "unseen_tool": 100,
              "unseen_instruction": 100, "facts": 150, "names": 100, "general": 100}  # fmt: skip
"""Items per suite when `single` has 200: a 95% interval is then at most 0.07 to 0.1 either way."""


def tools_suite(seed: int, count: int) -> Suite:
    """Open-book tasks of the universe with four functions offered, over ToolBench's splits."""
    streams = {cell: _tasks("tools", seed, cell) for cell in TOOL_CELLS}
    turns = (next(streams[TOOL_CELLS[i % len(TOOL_CELLS)]]) for i in numbers())
    return Suite(name="tools", items=tuple(_distinct(turns, count)))


def general_suite(seed: int, count: int) -> Suite:
    """Small abilities with one right answer, the abilities in turn."""
    return Suite(name="general", items=tuple(_distinct(_puzzles(seed), count)))


def kept_base_suite(seed: int, count: int) -> Suite:
    """What the embedded model knows by heart: facts and calls of APIs shown by name, in turn."""
    known = _tasks("kept", seed, Cell("single", "known_names"))
    told = _facts("kept", seed)
    turns = (next(known if i % 2 else told) for i in numbers())
    return Suite(name="kept", items=tuple(_distinct(turns, count)))


def learned_suite(held_out: Iterable[Example], cap: int) -> Suite:
    """At most `cap` held-out examples of this cycle."""
    return Suite(name="learned", items=tuple(_reservoir(_examples("learned", held_out), cap)))


def choosing_suite(examples: Iterable[Example], cap: int) -> Suite:
    """At most `cap` of the examples that are for choosing between candidates."""
    found = _examples("choosing", examples, "choose")
    return Suite(name="choosing", items=tuple(_reservoir(found, cap)))


def kept_suite(held_out: Iterable[Example], base: Sequence[Item], cap: int) -> Suite:
    """What was known before this cycle: earlier held-out examples and `base`, half each.

    Where one of the two has less than its half, the other fills it.
    """
    earlier = _reservoir(_examples("kept", held_out), cap)
    half = max(cap - len(base), cap // 2)
    chosen = earlier[: max(half, 0)]
    kept = [i.model_copy(update={"suite": "kept"}) for i in base]
    return Suite(name="kept", items=tuple(_distinct(iter([*chosen, *kept]), cap)))


def pico_suites(seed: int = 1, count: int = 200) -> list[Suite]:
    """The benchmark of the embedded model; `count` items in `single`, the others in proportion.

    Its seed differs from the gate's, so that no version was ever chosen by these items.
    """
    sizes = {
        name: max(1, size * count // PICO_SIZES["single"]) for name, size in PICO_SIZES.items()
    }
    unseen: dict[str, Cell] = {
        "single": Cell("single", "unseen_category"), "multi": Cell("multi", "unseen_category"),
        "cross": Cell("cross", "unseen_category"), "none": Cell("none", "unseen_category"),
        "unseen_tool": Cell("single", "unseen_tool"),
        "unseen_instruction": Cell("single", "unseen_instruction"),
        "names": Cell("single", "known_names"),
    }  # fmt: skip
    streams: dict[str, Iterator[Item]] = {n: _tasks(n, seed, cell) for n, cell in unseen.items()}
    streams |= {"facts": _facts("facts", seed), "general": _puzzles(seed)}
    return [
        Suite(name=name, items=tuple(_distinct(streams[name], size)))
        for name, size in sizes.items()
    ]


def task_item(
    suite: str, slice: str, task: Task, catalogue: Catalogue,
    shown: Literal["schemas", "names"] = "schemas",
) -> Item:  # fmt: skip
    """A task of the universe as an item. `catalogue` must be `build_catalogue` of its seed, or the
    runner would work in another world."""
    tools = [schema_of(catalogue.by_function[f]) for f in task.offered]
    if shown == "names":
        tools = [names_only(t) for t in tools]
    check = task_check(task, catalogue.seed)
    return Item(
        suite=suite, slice=slice, messages=_asked(task.query), tools=tuple(tools), check=check
    )


def _asked(question: str) -> tuple[Message, ...]:
    return Message(role="system", content=SYSTEM), Message(role="user", content=question)


def _tasks(suite: str, seed: int, cell: Cell) -> Iterator[Item]:
    """Tasks of one slice without end. Each slice has its own randomness: counts do not mix."""
    catalogue = catalogue_of(CATALOGUE_SEED)
    rng = random.Random(f"{suite}/{seed}/{cell.name}")
    tools: dict[str, Callable[[], Sequence[Tool]]] = {
        "unseen_category": lambda: catalogue.split("unseen_category"),
        "unseen_tool": lambda: catalogue.split("unseen_tool"),
        "unseen_instruction": lambda: catalogue.split("seen"),
        "known_names": lambda: [t for c in KNOWN_CATEGORIES for t in catalogue.category(c)],
    }
    phrasing = Phrasing(rng, rare=1.0 if cell.split == "unseen_instruction" else 0.0)
    writer = TaskWriter(catalogue, tools[cell.split](), rng, phrasing=phrasing)
    shown = "names" if cell.split == "known_names" else "schemas"
    while True:
        yield task_item(suite, cell.name, writer.write(cell.kind), catalogue, shown)


def _facts(suite: str, seed: int) -> Iterator[Item]:
    """Questions on the known encyclopedia: every fact once before any is asked in another form."""
    rng = random.Random(f"{suite}/{seed}/facts")
    world = facts(KNOWN_SEED)
    rng.shuffle(world)
    first = [rng.randrange(len(QUESTIONS)) for _ in world]
    for turn in range(len(QUESTIONS)):
        for fact, form in zip(world, first, strict=True):
            check: dict[str, Any] = {"kind": "answer", "values": [fact.value]}
            question = fact.question(form + turn)
            yield Item(suite=suite, slice="fact/known", messages=_asked(question), check=check)


def _puzzles(seed: int) -> Iterator[Item]:
    for block in numbers():
        for puzzle in puzzles(seed * 1_000_003 + block, 100):
            check = {"kind": "exact", "value": puzzle.answer}
            yield Item(
                suite="general", slice=puzzle.ability, messages=_asked(puzzle.question), check=check
            )


def _examples(suite: str, examples: Iterable[Example], split: Split = "held_out") -> Iterator[Item]:
    """Examples of a split that can be checked, as items."""
    for e in examples:
        if e.split == split and e.check:
            yield Item(suite=suite, slice=e.kind, messages=e.messages, tools=e.tools, check=e.check)


def _reservoir(items: Iterable[Item], cap: int) -> list[Item]:
    """At most `cap` distinct items: a fair sample that needs no state.

    Those with the smallest digests stay, so an item chosen once goes only when a smaller one comes,
    and the suite of one cycle is mostly that of the next.
    """
    ranked = sorted(items, key=lambda i: digest_of(["reservoir", i.digest]))
    return list(_distinct(iter(ranked), cap))


def _distinct(items: Iterator[Item], count: int) -> Iterator[Item]:
    """The first `count` items that differ, or all when there are fewer."""
    seen: set[str] = set()
    if count <= 0:
        return
    for item in items:
        if item.digest not in seen:
            seen.add(item.digest)
            yield item
            if len(seen) == count:
                return
