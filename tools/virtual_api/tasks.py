"""Questions about the universe in plain words, each with a solution and a checkable answer.

A query never holds a parameter name: with the names hidden, reading does not solve it. Kinds: one
call; several calls of one tool with values that flow from reply to call; calls across tools; and
tasks that no offered API solves.
"""

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from store.records import digest_of
from tools.virtual_api.catalogue import Api, Catalogue, Tool
from tools.virtual_api.executor import Call, Session, random_value
from tools.virtual_api.phrasing import Phrasing, answer_for, ask_for
from tools.virtual_api.words import code

TaskKind = Literal["single", "multi", "cross", "none"]


@dataclass(frozen=True)
class Task:
    """One question: what is offered, what solves it, and what a right end looks like."""

    kind: TaskKind
    query: str
    offered: tuple[str, ...]
    """Function names that the agent may call."""
    setup: tuple[Call, ...]
    """Calls that made the user's world before the question."""
    solution: tuple[Call, ...]
    expected: tuple[str, ...]
    """Values that the final answer must hold."""
    answer: str
    """The reference answer."""
    state: str
    """Digest of the session's end state."""

    @property
    def digest(self) -> str:
        """Identity of the task."""
        return digest_of([self.kind, self.query, list(self.offered)])

    def session(self, catalogue: Catalogue) -> Session:
        """A fresh world in which the question is asked."""
        return _world(catalogue, self.setup)


def _world(catalogue: Catalogue, setup: Sequence[Call]) -> Session:
    session = Session(catalogue)
    for call in setup:
        session.execute(call.function, call.arguments)
    session.calls.clear()
    return session


@dataclass(frozen=True)
class Judgement:
    """Whether a task was solved, and if not, why."""

    solved: bool
    reason: str


_REFUSALS = ("cannot", "can't", "unable", "no tool", "not able")


def refuses(answer: str) -> bool:
    """Whether an answer says that the thing cannot be done."""
    return any(r in answer.lower() for r in _REFUSALS)


def holds(answer: str, value: str) -> bool:
    """Whether an answer says a value as it is: `7` is not in `47`, nor in `4.7`."""
    bounded = rf"(?<!\w)(?<!\d[.,-]){re.escape(value)}(?!\w)(?![.,-]\d)"
    return re.search(bounded, answer) is not None


def judge(task: Task, session: Session, answer: str) -> Judgement:
    """Score by end state and answer; no model judges."""
    if not answer.strip():
        return Judgement(False, "empty answer")
    if task.kind == "none":
        if session.calls:
            return Judgement(False, "called a tool although none fits")
        refused = refuses(answer)
        return Judgement(refused, "refused" if refused else "did not say that it cannot")
    if session.state_digest() != task.state:
        return Judgement(False, "the end state differs")
    made = [json.dumps([c.function, c.arguments], sort_keys=True) for c, ok in session.calls if ok]
    if len(made) != len(set(made)):
        return Judgement(False, "repeated a call that had succeeded")
    missing = [v for v in task.expected if not holds(answer, v)]
    if missing:
        return Judgement(False, f"the answer lacks {', '.join(missing)}")
    return Judgement(True, "solved")


class TaskWriter:
    """Writes tasks over some tools of a catalogue, all randomness from `rng`."""

    def __init__(
        self,
        catalogue: Catalogue,
        tools: Sequence[Tool],
        rng: random.Random,
        offered: tuple[int, int] = (4, 4),
        phrasing: Phrasing | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.tools = list(tools)
        self.rng = rng
        self.offered = offered
        self.phrasing = phrasing or Phrasing(rng)

    def write(self, kind: TaskKind) -> Task:
        """One task of a kind."""
        return {"single": self.single, "multi": self.multi, "cross": self.cross, "none": self.none}[
            kind
        ]()

    def single(self, api: Api | None = None) -> Task:
        """One call, of a given API or a random one."""
        api = api or self._api()
        setup: list[Call] = []
        request, call, fields = self._request(api, setup)
        return self._finish("single", request, [call], [fields], setup)

    def multi(self) -> Task:
        """Two or three calls of one tool; each later call needs a value of an earlier reply."""
        tool = self.rng.choice(self.tools)
        find, detail, create, cancel, _ = tool.apis
        coded = any(p.role == "code" for p in create.parameters)
        made = [[find, create], [find, create, cancel]] if coded else [[create, cancel]]
        return self._chain(self.rng.choice([[find, detail], *made]))

    def cross(self) -> Task:
        """Two independent calls of different tools."""
        first, second = self.rng.sample(self.tools, 2)
        setup: list[Call] = []
        one = self._request(self.rng.choice(first.apis), setup)
        two = self._request(self.rng.choice(second.apis), setup)
        query = self.phrasing.both(one[0], two[0])
        return self._finish("cross", query, [one[1], two[1]], [one[2], two[2]], setup)

    def none(self) -> Task:
        """A request whose API is not among those offered."""
        wanted = self._api()
        request, _, _ = self._request(wanted, [])
        rivals = [a.function for t in self.tools if t.name != wanted.tool for a in t.apis]
        count = min(self.rng.randint(*self.offered), len(rivals))
        offered = tuple(self.rng.sample(rivals, count))
        empty = Session(self.catalogue).state_digest()
        return Task("none", self.phrasing.opened(request), offered, (), (), (), REFUSAL, empty)

    def _api(self) -> Api:
        return self.rng.choice(self.rng.choice(self.tools).apis)

    def _request(self, api: Api, setup: list[Call]) -> tuple[str, Call, list[str]]:
        """Words, call and asked fields of one request; `setup` receives what must exist first."""
        arguments: dict[str, Any] = {}
        said: list[str] = []
        for p in api.parameters:
            if not p.required and self.rng.random() < 0.5:
                continue
            if p.role == "reference":
                value: Any = self._existing(api, setup)
            elif p.role == "code":
                value = code(self.rng)
            else:
                value = random_value(self.rng, p.kind, p.choices)
            arguments[p.name] = value
            said.append(self.phrasing.say(p, value))
        fields = ask_for(self.rng, api)
        words = self.phrasing.request(api, said, fields)
        return words, Call(api.function, arguments), fields

    def _existing(self, api: Api, setup: list[Call]) -> str:
        """Create what a cancel call will cancel; its reference."""
        tool = next(t for t in self.tools if t.name == api.tool)
        create = tool.apis[2]
        args = {
            p.name: random_value(self.rng, p.kind, p.choices)
            for p in create.parameters
            if p.required
        }
        setup.append(Call(create.function, args))
        return str(_world(self.catalogue, []).execute(create.function, args)["reference"])

    def _chain(self, apis: list[Api]) -> Task:
        rng, parts, calls, asked = self.rng, [], [], []
        world = _world(self.catalogue, [])
        known: dict[str, str] = {}
        for position, api in enumerate(apis):
            arguments: dict[str, Any] = {}
            said: list[str] = []
            for p in api.parameters:
                if p.role != "value":
                    arguments[p.name] = known[p.role]
                elif p.required or rng.random() < 0.3:
                    arguments[p.name] = random_value(rng, p.kind, p.choices)
                    said.append(self.phrasing.say(p, arguments[p.name]))
            reply = world.execute(api.function, arguments)
            known |= {k: str(v) for k, v in reply.items() if k in {"code", "reference"}}
            last = position == len(apis) - 1
            fields = ask_for(rng, api) if last else []
            parts.append(self.phrasing.request(api, said, fields, again=position > 0))
            calls.append(Call(api.function, arguments))
            asked.append(fields)
        return self._finish("multi", self.phrasing.then(parts), calls, asked, [])

    def _finish(
        self,
        kind: TaskKind,
        request: str,
        calls: list[Call],
        asked: list[list[str]],
        setup: list[Call],
    ) -> Task:
        world = _world(self.catalogue, setup)
        sentences: list[str] = []
        expected: list[str] = []
        for call, fields in zip(calls, asked, strict=True):
            reply = world.execute(call.function, call.arguments)
            assert "error" not in reply, (call, reply)
            sentence, values = answer_for(self.catalogue.by_function[call.function], reply, fields)
            sentences.append(sentence)
            expected += values
        if kind == "multi":
            sentences, expected = sentences[-1:], expected[-1:]
        return Task(
            kind,
            self.phrasing.opened(request),
            self._offer(calls),
            tuple(setup),
            tuple(calls),
            tuple(expected),
            " ".join(sentences),
            world.state_digest(),
        )

    def _offer(self, calls: list[Call]) -> tuple[str, ...]:
        """The needed functions among distractors of the same and of other tools, shuffled."""
        needed = list(dict.fromkeys(c.function for c in calls))
        own = {self.catalogue.by_function[f].tool for f in needed}
        near = [a.function for t in self.tools if t.name in own for a in t.apis]
        far = [a.function for t in self.tools if t.name not in own for a in t.apis]
        count = max(self.rng.randint(*self.offered), len(needed))
        while len(needed) < count:
            pool = near if self.rng.random() < 0.4 or not far else far
            pick = self.rng.choice(pool)
            if pick not in needed:
                needed.append(pick)
            elif set(near + far) <= set(needed):
                break
        self.rng.shuffle(needed)
        return tuple(needed)


REFUSAL = "I cannot do that with the tools I have."
