"""What is asked in an evaluation: items with a checkable answer, and named suites of them.

Asks nothing and scores nothing. Written by adapt.evals.suites and the loaders of published
benchmarks (adapt.evals.benchmarks), asked by adapt.evals.runner, scored by
adapt.evals.scoring.checks.
"""

import json
from dataclasses import asdict
from functools import cached_property
from typing import Any, Literal

from pydantic import field_validator

from store.errors import ConfigError
from store.records import Message, Record, digest_of
from tools.virtual_api.executor import Call
from tools.virtual_api.tasks import Task

CHECKS: dict[str, frozenset[str]] = {
    "answer": frozenset({"values"}),
    "exact": frozenset({"value"}),
    "call": frozenset({"name", "arguments"}),
    "refusal": frozenset(),
    "task": frozenset({"catalogue_seed", "task"}),
    "calls": frozenset({"rule", "calls"}),
    "silence": frozenset(),
    "paths": frozenset({"paths"}),
    "choice": frozenset({"value"}),
    "number": frozenset({"value"}),
    "text": frozenset({"values"}),
    "span": frozenset({"values"}),
    "instructions": frozenset({"instructions"}),
    "turns": frozenset({"turns"}),
    "toolbench": frozenset({"relevant"}),
}
"""Kinds of checks, and what each needs besides its kind:

answer: all `values` appear in the answer, letter case and punctuation aside.
exact: the answer is `value`, blanks at the ends and doubled ones aside.
call: the reply is one call of `name` with exactly `arguments`.
refusal: the reply calls nothing and says that it cannot.
task: the agent works in a fresh world; end state and answer are judged.
calls: the reply makes the calls of `calls`, compared by the benchmark's `rule`.
silence: the reply calls nothing, whatever it says.
paths: the reply names the API paths of `paths`.
choice: the reply chooses the letter `value`.
number: the last number of the reply is `value`.
text: the final answer of the reply is one of `values` (adapt.evals.scoring.texts).
span: the reply is one of `values`, by SQuAD's exact match; F1 beside it.
instructions: the reply keeps every rule of `instructions` (IFEval).
turns: a conversation of several turns whose end states are compared (BFCL's multi-turn tasks).
toolbench: a ToolBench query, played by its protocol and scored by the calls of `relevant`.
"""


class Item(Record):
    """One question. `tools` are shown as they stand: whole schemas, or names alone."""

    suite: str
    slice: str
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()
    check: dict[str, Any]
    name: str = ""
    """What its benchmark calls it; empty where the digest is its only name."""

    @field_validator("check")
    @classmethod
    def _known(cls, check: dict[str, Any]) -> dict[str, Any]:
        kind = check.get("kind")
        if kind not in CHECKS:
            raise ConfigError(
                f"check kind {kind!r} is not known", f"use one of {', '.join(CHECKS)}"
            )
        if missing := CHECKS[kind] - check.keys():
            raise ConfigError(f"a check of kind {kind} lacks {', '.join(sorted(missing))}")
        if kind == "answer" and not check["values"]:
            # All of no values appear in every answer: such an item would always pass.
            raise ConfigError("a check of kind answer has no values", "name at least one")
        return check

    @cached_property
    def digest(self) -> str:
        """Identity of the question: what is shown and what is right, whichever suite holds it."""
        said = [m.model_dump(mode="json", exclude={"loss"}) for m in self.messages]
        return digest_of([said, list(self.tools), self.check])

    @property
    def shown(self) -> Literal["schemas", "names"]:
        """How an agent must show its tools so that the model sees `tools`."""
        bare = all("description" not in tool["function"] for tool in self.tools)
        return "names" if self.tools and bare else "schemas"


class Suite(Record):
    """A named, ordered set of items. ConfigError (a ValueError) when an item is in it twice."""

    name: str
    items: tuple[Item, ...]

    @field_validator("items")
    @classmethod
    def _distinct(cls, items: tuple[Item, ...]) -> tuple[Item, ...]:
        if len({i.digest for i in items}) < len(items):
            # Outcomes are paired by item, and a repeated one would count as fresh evidence.
            raise ConfigError("a suite holds an item twice", "leave the repeated one out")
        return items

    @cached_property
    def digest(self) -> str:
        """Identity of the suite: its name, its items and their order."""
        return digest_of([self.name, [[i.slice, i.digest] for i in self.items]])


def task_check(task: Task, catalogue_seed: int) -> dict[str, Any]:
    """The check of a task of the universe with that seed, as JSON."""
    stored = json.loads(json.dumps(asdict(task)))
    return {"kind": "task", "catalogue_seed": catalogue_seed, "task": stored}


def task_of(check: dict[str, Any]) -> Task:
    """The task inside a check of kind `task`."""
    stored = dict(check["task"])
    for name in ("setup", "solution"):
        stored[name] = tuple(Call(**call) for call in stored[name])
    for name in ("offered", "expected"):
        stored[name] = tuple(stored[name])
    return Task(**stored)
