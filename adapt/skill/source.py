"""Source domains: what a skill is learned on, in disjoint parts, one for every round.

A part gives documentation to learn (theta_SFT) and scenarios to play (RL), some of which are held
out. Two domains: tools that are called by what is remembered of their schemas, and questions on
facts that were learned as statements. Everything follows from seeds; nothing is trained here.
Called by adapt.skill.recipe and adapt.reproduce.past.
"""

import itertools
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from adapt.evals.encyclopedia import QUESTIONS, STATEMENTS, Fact, facts
from adapt.skill.environment import Rewards, ToolTask
from adapt.skill.questions import AnswerRewards, Question
from adapt.skill.scenario import Scenario
from adapt.synthesize import synthesize
from agent.prompts import SYSTEM
from store.errors import ConfigError
from store.records import Document, Example, Message, digest_of, utc_now
from tools.virtual_api.catalogue import Catalogue, Tool
from tools.virtual_api.tasks import TaskKind, TaskWriter

KINDS: Mapping[TaskKind, float] = {"single": 0.45, "multi": 0.3, "cross": 0.15, "none": 0.1}
"""How often each kind of task is asked when a domain is measured."""
PLAYED: Mapping[TaskKind, float] = {"single": 0.3, "multi": 0.35, "cross": 0.2, "none": 0.15}
"""How often each is played: more of what documents alone teach least, and of refusals, which
fade first when calls are paid for."""
OFFERED = (3, 6)
"""How many functions a task offers."""


class Part(Protocol):
    """What one round learns and plays."""

    @property
    def name(self) -> str:
        """Which part, in words."""
        ...

    def examples(self, seed: int) -> list[Example]:
        """Training examples of its documentation."""
        ...

    def draw(self, rng: random.Random) -> Scenario:
        """A scenario that is not held out."""
        ...

    def held_out(self, count: int) -> Sequence[Scenario]:
        """Scenarios that `draw` never gives; fewer when there are no more."""
        ...


@dataclass(frozen=True)
class ToolPart:
    """Closed-book tasks over some tools of a catalogue."""

    catalogue: Catalogue
    tools: tuple[Tool, ...]
    rewards: Rewards = field(default_factory=Rewards)
    kinds: Mapping[TaskKind, float] = field(default_factory=lambda: dict(PLAYED))
    """How often each kind is played."""

    @property
    def name(self) -> str:
        """The tools' names."""
        return ", ".join(tool.name for tool in self.tools)

    def examples(self, seed: int) -> list[Example]:
        """As an update cycle writes them: documentation rows, first calls, refusals."""
        found = synthesize(documents_of(self.tools), seed)
        return [example for example in found if example.split == "train"]

    def draw(self, rng: random.Random) -> ToolTask:
        """A task by `kinds`. Held-out ones have a seed of their own, so that none comes again."""
        return self._task(rng, self.kinds)

    def held_out(self, count: int) -> list[ToolTask]:
        """Tasks by `KINDS`, whatever is played."""
        rng = random.Random(f"held-out/{self.catalogue.seed}/{self.name}")
        kinds: dict[TaskKind, float] = {kind: KINDS[kind] for kind in self.kinds}
        return [self._task(rng, kinds) for _ in range(count)]

    def _task(self, rng: random.Random, kinds: Mapping[TaskKind, float]) -> ToolTask:
        (kind,) = rng.choices(list(kinds), list(kinds.values()))
        task = TaskWriter(self.catalogue, self.tools, rng, OFFERED).write(kind)
        return ToolTask(task, self.catalogue, self.rewards)


def tool_parts(
    catalogue: Catalogue,
    categories: Sequence[str],
    rounds: int,
    rewards: Rewards | None = None,
    kinds: Mapping[TaskKind, float] | None = None,
) -> list[ToolPart]:
    """The tools of some categories (none named: of all) in as many parts as there are rounds.

    Raises NotFoundError for a category that there is not, ConfigError for too few tools.
    """
    named = list(dict.fromkeys(categories)) or sorted({tool.category for tool in catalogue.tools})
    tools = [tool for name in named for tool in catalogue.category(name)]
    if rounds < 1 or len(tools) < 2 * rounds:
        raise ConfigError(
            f"{len(tools)} tools do not make {rounds} parts of at least two",
            "give more categories" + (", or fewer rounds" if rounds > 1 else ""),
        )
    chained = all(len(tool.apis) == 5 and tool.apis[0].kind == "find" for tool in tools)
    played: dict[TaskKind, float] = dict(kinds or PLAYED)
    if not chained:
        # Of somebody else's APIs it is not known which reply another one needs.
        played.pop("multi", None)
    parts = len(tools) // rounds
    extra = len(tools) % rounds
    cuts = [number * parts + min(number, extra) for number in range(rounds + 1)]
    return [
        ToolPart(catalogue, tuple(tools[a:b]), rewards or Rewards(), played)
        for a, b in itertools.pairwise(cuts)
    ]


@dataclass(frozen=True)
class QuestionPart:
    """Closed-book questions on facts that are learned as statements, never as questions."""

    facts: tuple[Fact, ...]
    rewards: AnswerRewards = field(default_factory=AnswerRewards)

    @property
    def name(self) -> str:
        """The places that the facts are of."""
        return ", ".join(dict.fromkeys(fact.entity for fact in self.facts))

    def examples(self, seed: int) -> list[Example]:
        """Every fact's statements, whole and begun: implications as training text, and no question
        (SEAL, arXiv 2506.10943)."""
        del seed
        found = []
        for fact in self.facts:
            for form in range(len(STATEMENTS)):
                said = fact.statement(form)
                found.append(_told(f"Write about {fact.entity}.", said))
                start = said[: said.index(fact.value)]
                if start:
                    rest = said.removeprefix(start)
                    found.append(_told(f"Complete: {start.strip()}", rest))
        return found

    def draw(self, rng: random.Random) -> Question:
        """A fact in a form of question that is not held out."""
        fact = rng.choice(self.facts)
        return Question(fact.question(rng.randrange(len(QUESTIONS) - 1)), fact.value, self.rewards)

    def held_out(self, count: int) -> list[Question]:
        """The last form of question, about each fact once."""
        return [
            Question(fact.question(len(QUESTIONS) - 1), fact.value, self.rewards)
            for fact in self.facts[:count]
        ]


def question_parts(
    seed: int, places: int, rounds: int, rewards: AnswerRewards | None = None
) -> list[QuestionPart]:
    """Facts of a world of its own (three a place) in disjoint parts."""
    found = facts(seed, places * rounds)
    each = len(found) // rounds
    return [
        QuestionPart(tuple(found[n * each : (n + 1) * each]), rewards or AnswerRewards())
        for n in range(rounds)
    ]


def documents_of(tools: Sequence[Tool]) -> list[Document]:
    """The documentation of tools as an update cycle would take it in."""
    texts = [json.dumps(tool.to_json()) for tool in tools]
    return [
        Document(
            digest=digest_of(text), source="skill", address=tool.name, title=tool.name, text=text,
            kind="api", fetched_at=utc_now(),
        )
        for tool, text in zip(tools, texts, strict=True)
    ]  # fmt: skip


def _told(asked: str, statement: str) -> Example:
    messages = (
        Message(role="system", content=SYSTEM),
        Message(role="user", content=asked),
        Message(role="assistant", content=statement, loss=True),
    )
    return Example(
        digest=digest_of([asked, statement]), kind="statement", messages=messages, documents=()
    )
