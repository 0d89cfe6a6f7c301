"""SoPR and SoWR: a model's opinion of answers, as an advisory figure beside the score.

The judge is one pinned model behind any OpenAI-compatible endpoint, asked several times. Judging
again moves a subset's figure by up to 4 points, so the interval is part of it, and the gate never
reads it. Two published defects are not repeated: every id counts, played or not, and pairs are
judged in both orders. A judge that fails or writes nonsense is Unsure and counted; it ends nothing.
Plays nothing: takes what was played as `Answer`s.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from statistics import pstdev
from typing import Any

import numpy as np

from adapt.eprocess import interval_95
from adapt.evals.asking import Played
from adapt.evals.items import Item
from adapt.evals.toolbench.functions import FINISH
from adapt.evals.toolbench.verdicts import FINAL, PAIR, TRACE, Verdict, choice_in, verdict_in
from agent.fleet import Inference
from store.errors import EngineError
from store.records import digest_of

ROUNDS = 3
CONCURRENCY = 16
MOST_TOKENS = 512
STEPS_CHARS = 12_000
"""Most of a run that a judge is shown."""
MOST_FAILURES = 20
"""So many failed requests in a row, and the judge is not asked any more: one that hangs would keep
the run for hours."""
_WORTH: dict[Verdict | None, float] = {"solved": 1.0, "unsure": 0.5, None: 0.5, "unsolved": 0.0}
"""None is a judge that failed."""


@dataclass(frozen=True)
class Answer:
    """What a judge sees of one played query. `final` is empty where no answer was given."""

    query: str
    final: str
    steps: tuple[str, ...] = ()
    """Calls and their replies, one text each."""

    @classmethod
    def of(cls, item: Item, played: Played) -> "Answer":
        """The answer inside a played item of kind `toolbench`."""
        query = next(m.content for m in item.messages if m.role == "user")
        replies = (m["content"] for m in played.messages if m["role"] == "tool")
        calls = (c["function"] for m in played.messages for c in m.get("tool_calls") or ())
        steps = tuple(
            f"{call['name']} {call['arguments']} -> {reply}"
            for call, reply in zip(calls, replies, strict=False)
            if call["name"] != FINISH
        )
        return cls(query.strip(), played.answer, steps)

    @property
    def shown(self) -> str:
        """The steps as one text."""
        listed = "\n".join(f"{place}. {step}" for place, step in enumerate(self.steps, 1))
        return listed[:STEPS_CHARS] or "none"


@dataclass(frozen=True)
class Figure:
    """A mean over all ids and rounds, in [0, 1]."""

    value: float
    interval: tuple[float, float]
    """95%, by bootstrap over the ids."""
    rounds_sd: float
    """Population standard deviation of the rounds: what judging again would change."""
    by_id: Mapping[str, float]
    unsure: int = 0
    """Verdicts that are Unsure, those of a judge that failed included."""
    faults: int = 0
    """Verdicts and choices that the judge did not give, or not in its form."""


@dataclass
class _Opinion:
    """What one round says of one id."""

    value: float = 0.0
    unsure: int = 0
    faults: int = 0

    def count(self, verdict: Verdict | None) -> None:
        self.faults += verdict is None
        self.unsure += verdict in (None, "unsure")


@dataclass
class Judge:
    """One pinned judge. Rounds differ by seed, and are drawn at `temperature`."""

    engine: Inference
    model: str
    rounds: int = ROUNDS
    temperature: float = 0.2
    said: MutableMapping[str, str] = field(default_factory=dict)
    """Its words by what it was asked, so that a judging that was stopped goes on. Requests that
    failed are not in it."""
    _gate: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(CONCURRENCY), init=False
    )
    failed: int = field(default=0, init=False)
    """Requests that failed or, after too many of them, were not made."""
    _failures: int = field(default=0, init=False)

    async def pass_rate(self, ids: Sequence[str], answers: Mapping[str, Answer]) -> Figure:
        """SoPR: Solved 1, Unsure 0.5, Unsolved 0, over `ids`. One without an answer is Unsolved."""

        async def worth(id: str, turn: int) -> _Opinion:
            verdict = await self.verdict(answers.get(id), turn)
            opinion = _Opinion(_WORTH[verdict])
            opinion.count(verdict)
            return opinion

        return await self._figure(ids, worth)

    async def win_rate(
        self, ids: Sequence[str], ours: Mapping[str, Answer], theirs: Mapping[str, Answer]
    ) -> Figure:
        """SoWR: the better of two verdicts wins; of two equal ones the answer that the judge
        prefers in both orders. 1 is a win, 0.5 a tie: the orders disagree, the answers are the
        same, or the judge failed."""

        async def won(id: str, turn: int) -> _Opinion:
            opinion = _Opinion()
            pair = (ours.get(id), theirs.get(id))
            verdicts: list[Verdict | None] = [await self.verdict(a, turn) for a in pair]
            for verdict in verdicts:
                opinion.count(verdict)
            one, other = (_WORTH[verdict] for verdict in verdicts)
            if None in verdicts:
                # A verdict that was not given must not win against an empty answer.
                opinion.value = 0.5
            elif one != other:
                opinion.value = float(one > other)
            else:
                await self._prefer(opinion, *pair, turn)
            return opinion

        return await self._figure(ids, won)

    async def verdict(self, answer: Answer | None, turn: int = 0) -> Verdict | None:
        """Whether an answer solves its query; an Unsure one is judged again by the whole run. None
        where the judge failed."""
        if answer is None or not answer.final.strip():
            return "unsolved"
        seen = {"Query": answer.query, "Answer": answer.final}
        found = verdict_in(await self._ask(FINAL, seen, turn))
        if found == "unsure":
            found = verdict_in(await self._ask(TRACE, {**seen, "Steps": answer.shown}, turn))
        return found

    async def _prefer(
        self, opinion: _Opinion, ours: Answer | None, theirs: Answer | None, turn: int
    ) -> None:
        """Which of two equal answers is better, asked in both orders."""
        opinion.value = 0.5
        if ours is None or theirs is None or ours == theirs:
            return
        choices = [
            await self._choice(ours, theirs, turn), await self._choice(theirs, ours, turn),
        ]  # fmt: skip
        opinion.faults += choices.count(None)
        if choices == [1, 2]:
            opinion.value = 1.0
        elif choices == [2, 1]:
            opinion.value = 0.0

    async def _choice(self, one: Answer, other: Answer, turn: int) -> int | None:
        seen = {
            "Query": one.query, "Answer 1": one.final or "none", "Steps of answer 1": one.shown,
            "Answer 2": other.final or "none", "Steps of answer 2": other.shown,
        }  # fmt: skip
        return choice_in(await self._ask(PAIR, seen, turn))

    async def _ask(self, task: str, seen: Mapping[str, str], turn: int) -> str:
        """The judge's words, empty where it failed."""
        shown = "\n\n".join(f"{name}:\n{text}" for name, text in seen.items())
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": task},
            {"role": "user", "content": shown},
        ]
        key = digest_of([self.model, self.temperature, MOST_TOKENS, messages, turn])
        if key in self.said:
            return self.said[key]
        async with self._gate:
            if self._failures >= MOST_FAILURES:
                self.failed += 1
                return ""
            try:
                reply = await self.engine.chat(
                    self.model, messages, max_tokens=MOST_TOKENS, seed=turn,
                    temperature=self.temperature,
                )  # fmt: skip
            except EngineError:
                # No verdict comes of it, which is counted: the judge must not end the run.
                self._failures += 1
                self.failed += 1
                return ""
        self._failures = 0
        self.said[key] = reply.content
        return reply.content

    async def _figure(
        self, ids: Sequence[str], opinion_of: Callable[[str, int], Awaitable[_Opinion]]
    ) -> Figure:
        distinct = list(dict.fromkeys(ids))
        pairs = [(id, turn) for turn in range(self.rounds) for id in distinct]
        if not pairs:
            return Figure(0.0, (0.0, 0.0), 0.0, {})
        self._failures = 0
        opinions = await asyncio.gather(*(opinion_of(id, turn) for id, turn in pairs))
        values = np.array([o.value for o in opinions]).reshape(self.rounds, len(distinct))
        means = values.mean(axis=0)
        return Figure(
            float(values.mean()), interval_95(means), pstdev(values.mean(axis=1).tolist()),
            dict(zip(distinct, means.tolist(), strict=True)),
            sum(o.unsure for o in opinions), sum(o.faults for o in opinions),
        )  # fmt: skip
