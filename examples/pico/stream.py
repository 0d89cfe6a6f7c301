"""The training stream of the embedded model: conversations made on the fly, without end.

Open-book tool use is always over freshly generated categories (never the unseen ones), so the
model learns to read schemas. Closed-book parts are fixed: two categories, one encyclopedia.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from adapt.evals.abilities import ABILITIES, copying
from adapt.evals.encyclopedia import KNOWN_SEED, Fact, facts
from adapt.rewrite import api_rows
from agent.prompts import SYSTEM, names_only
from tools.calculate import Calculate
from tools.search import SearchDocuments
from tools.virtual_api.catalogue import Catalogue, build_catalogue, schema_of
from tools.virtual_api.executor import TRANSIENT, Call
from tools.virtual_api.lexicon import (
    CATEGORIES,
    KNOWN_CATEGORIES,
    UNSEEN_CATEGORIES,
    fresh_category,
)
from tools.virtual_api.tasks import Task, TaskWriter
from tools.virtual_api.words import ADJECTIVES, NOUNS, made_up

SEEN = [c for c in CATEGORIES if c.name not in UNSEEN_CATEGORIES and c.name not in KNOWN_CATEGORIES]
BANNED = frozenset(
    w
    for c in CATEGORIES
    if c.name in UNSEEN_CATEGORIES
    for text in (
        *c.objects,
        *(a.phrase for a in c.attributes),
        *(f for f, _ in c.fields),
        *(v for a in c.attributes for v in a.values),
    )
    for w in text.split()
)
MIX = {
    "single": 0.28, "multi": 0.08, "cross": 0.10, "none": 0.24, "calculator": 0.02,
    "search": 0.02, "describe_open": 0.01, "puzzle": 0.10, "fact": 0.07, "closed_call": 0.07,
    "describe_known": 0.01,
}  # fmt: skip
"""What the model is trained on: share of each kind of conversation."""
SLIPS = 0.25
"""Share of open-book tasks in which a first wrong call must be put right."""
CALCULATOR = Calculate.spec.function()
SEARCH = SearchDocuments.spec.function()


class Conversation(NamedTuple):
    """Messages in the OpenAI shape, and the tools shown."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]


def user(text: str) -> list[dict[str, Any]]:
    """The start of a conversation."""
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]


def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """An assistant's tool call."""
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": name, "arguments": arguments}}],
    }


def say(text: str) -> dict[str, Any]:
    """An assistant's answer."""
    return {"role": "assistant", "content": text}


def observe(reply: Any) -> dict[str, Any]:
    """A tool's reply."""
    return {"role": "tool", "content": json.dumps(reply)}


def mistaken(task: Task, catalogue: Catalogue, rng: random.Random) -> Call | None:
    """A wrong first call that the world refuses: another offered API, or another's parameter."""
    right = task.solution[0]
    verb = right.function.split("_")[0]
    others = [f for f in task.offered if f != right.function]
    rng.shuffle(others)
    # The mistakes a model makes: an API that does the same to something else.
    others.sort(key=lambda f: not f.startswith(verb))
    values = list(right.arguments.values())
    for function in others:
        names = [p.name for p in catalogue.by_function[function].parameters]
        if rng.random() < 0.6:
            wrong = Call(function, dict(zip(names, values, strict=False)))
        else:
            renamed = dict(right.arguments)
            renamed.pop(rng.choice(list(renamed)))
            renamed[rng.choice(names)] = rng.choice(values)
            wrong = Call(right.function, renamed)
        if "error" in task.session(catalogue).execute(wrong.function, wrong.arguments):
            return wrong
    return None


def transcript(
    task: Task, catalogue: Catalogue, faults: int = 0, mistake: Call | None = None
) -> list[dict[str, Any]]:
    """The reference conversation; the first `faults` calls fail and are repeated.

    `mistake` is made first and then put right; it is marked, so that nobody learns to make it.
    """
    messages = user(task.query)
    session = task.session(catalogue)
    if mistake:
        messages.append({**call(mistake.function, mistake.arguments), "mistake": True})
        messages.append(observe(session.execute(mistake.function, mistake.arguments)))
    for step in task.solution:
        for _ in range(faults):
            messages += [call(step.function, step.arguments), observe({"error": TRANSIENT})]
        faults = 0
        messages.append(call(step.function, step.arguments))
        messages.append(observe(session.execute(step.function, step.arguments)))
    return [*messages, say(task.answer)]


class Stream:
    """An endless source of conversations in the proportions of `mix`.

    `progress` in [0, 1] sets the difficulty.
    """

    def __init__(self, seed: int, mix: Mapping[str, float] = MIX) -> None:
        self.mix = mix
        self.rng = random.Random(f"pico/{seed}")
        self.progress = 0.0
        self.known = build_catalogue(0)
        self.known_tools = [t for c in KNOWN_CATEGORIES for t in self.known.category(c)]
        self.facts = facts(KNOWN_SEED)
        self.fresh: list[Catalogue] = []
        self.makers: dict[str, Callable[[], Conversation]] = {
            "single": lambda: self.tool_use("single"),
            "multi": lambda: self.tool_use("multi"),
            "cross": lambda: self.tool_use("cross"),
            "none": lambda: self.tool_use("none"),
            "calculator": self.calculator,
            "search": self.search,
            "describe_open": self.describe_open,
            "puzzle": self.puzzle,
            "fact": self.fact,
            "closed_call": self.closed_call,
            "describe_known": self.describe_known,
        }

    def __iter__(self) -> Iterator[Conversation]:
        names, weights = list(self.mix), list(self.mix.values())
        while True:
            yield self.makers[self.rng.choices(names, weights)[0]]()

    def catalogue(self) -> Catalogue:
        """A catalogue of fresh categories, renewed every few uses."""
        if len(self.fresh) < 8 or self.rng.random() < 0.5:
            seed = self.rng.getrandbits(48)
            if self.rng.random() < 0.12:
                real = self.rng.sample(SEEN, 1)
                made = build_catalogue(seed, real)
            else:
                made = build_catalogue(seed, [fresh_category(self.rng, BANNED)])
            self.fresh = [*self.fresh[-7:], made]
        return self.rng.choice(self.fresh)

    def tool_use(self, kind: Any) -> Conversation:
        """An open-book task of the universe."""
        catalogue = self.catalogue()
        most = 2 if self.progress < 0.1 else 3 if self.progress < 0.25 else 5
        writer = TaskWriter(catalogue, catalogue.tools, self.rng, (1, most))
        task = writer.write(kind)
        faults = 1 if kind == "single" and self.rng.random() < 0.05 else 0
        slips = task.solution and task.solution[0].arguments and self.rng.random() < SLIPS
        mistake = mistaken(task, catalogue, self.rng) if slips else None
        shown = [schema_of(catalogue.by_function[f]) for f in task.offered]
        if self.rng.random() < 0.08:
            shown.insert(self.rng.randrange(len(shown) + 1), self.rng.choice((CALCULATOR, SEARCH)))
        return Conversation(transcript(task, catalogue, faults, mistake), shown)

    def closed_call(self) -> Conversation:
        """A task on known APIs with only their names shown."""
        kind = self.rng.choices(("single", "multi", "none"), (0.7, 0.15, 0.15))[0]
        writer = TaskWriter(self.known, self.known_tools, self.rng, (3, 6))
        task = writer.write(kind)
        shown = [names_only(schema_of(self.known.by_function[f])) for f in task.offered]
        return Conversation(transcript(task, self.known), shown)

    def describe_known(self) -> Conversation:
        """Documentation of a known API by heart."""
        api = self.rng.choice(self.rng.choice(self.known_tools).apis)
        row = self.rng.choice(api_rows(schema_of(api)["function"]))
        return Conversation([*user(row.question), say(row.answer)], [])

    def describe_open(self) -> Conversation:
        """Documentation of an API whose schema is shown."""
        tool = self.rng.choice(self.catalogue().tools)
        apis = self.rng.sample(tool.apis, self.rng.randint(1, 3))
        row = self.rng.choice(api_rows(schema_of(apis[0])["function"]))
        shown = [schema_of(a) for a in apis]
        self.rng.shuffle(shown)
        return Conversation([*user(row.question), say(row.answer)], shown)

    def puzzle(self) -> Conversation:
        """A general ability."""
        p = self.rng.choice((copying, *ABILITIES))(self.rng)
        return Conversation([*user(p.question), say(p.answer)], [])

    def fact(self) -> Conversation:
        """The encyclopedia by heart."""
        known: Fact = self.rng.choice(self.facts)
        if self.rng.random() < 0.2:
            return Conversation(
                [
                    *user(f"Tell me about {known.entity}."),
                    say(" ".join(f.statement() for f in self.facts if f.entity == known.entity)),
                ],
                [],
            )
        return Conversation([*user(known.question(self.rng.randrange(5))), say(known.value)], [])

    def calculator(self) -> Conversation:
        """Arithmetic with the calculator offered."""
        a, b = self.rng.randrange(2, 1000), self.rng.randrange(2, 1000)
        word, sign = self.rng.choice((("plus", "+"), ("minus", "-"), ("times", "*")))
        result = {"+": a + b, "-": a - b, "*": a * b}[sign]
        shown = self._among(CALCULATOR)
        messages = [
            *user(f"What is {a} {word} {b}?"),
            call("calculate", {"expression": f"{a} {sign} {b}"}),
            observe({"result": result}),
            say(str(result)),
        ]
        return Conversation(messages, shown)

    def search(self) -> Conversation:
        """A question on a made-up document, with search offered."""
        entity = made_up(self.rng, 3).capitalize()
        relations = [f"{self.rng.choice(ADJECTIVES)} {self.rng.choice(NOUNS)}" for _ in range(2)]
        world = [Fact(entity, r, made_up(self.rng).capitalize()) for r in relations]
        wanted = self.rng.choice(world)
        text = " ".join(f.statement(self.rng.randrange(3)) for f in world)
        messages = [
            *user(wanted.question(self.rng.randrange(5))),
            call("search_documents", {"query": f"{wanted.relation} of {entity}"}),
            observe({"passages": [text]}),
            say(wanted.value),
        ]
        return Conversation(messages, self._among(SEARCH))

    def _among(self, tool: dict[str, Any]) -> list[dict[str, Any]]:
        others = [schema_of(a) for t in self.catalogue().tools for a in t.apis]
        shown = [tool, *self.rng.sample(others, self.rng.randint(0, 2))]
        self.rng.shuffle(shown)
        return shown
