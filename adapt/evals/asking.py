"""One model under examination: plays single items, and turns what happens into outcomes.

Whatever a model says is a score; what the engine does wrong is a fault, tried again a few times
and then recorded. Called by adapt.evals.runner, which holds many of these at once.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from adapt.evals.items import Item, task_of
from adapt.evals.scoring.checks import mark_reply, mark_run
from adapt.evals.scoring.marks import Mark, invalid
from adapt.evals.suites import catalogue_of
from agent.config import AgentSettings, Settings
from agent.engine import Reply, Sampling
from agent.engine_errors import too_long
from agent.fleet import Inference
from agent.history import Wire, to_wire
from agent.runs import Agent, Options
from agent.state import RunResult
from store.errors import EngineError, EngineRefused, EngineUnavailable
from store.evidence import ItemOutcome
from tools.registry import Registry
from tools.virtual import virtual_tools

PRIORITY = 1
"""Behind what users ask, which has priority 0."""
ANSWER_CHARS = 400
"""How much of an answer is kept: enough to see why, and a report stays small."""
PAUSES_S = (0.2, 1.0)
"""Waits before an item is asked again after a fault of the engine."""
_PASSING = (0, 429, 500, 502, 503, 504)
"""Statuses of refusals that may pass."""


@dataclass(frozen=True)
class Decoding:
    """How answers are drawn. Part of the report's digest: answers under different decoding are not
    compared."""

    temperature: float = 0.0
    seed: int = 0
    max_tokens: int = 256
    """Most tokens of one model answer."""
    max_steps: int = 6
    """Most model calls of one task."""


def decoding_of(settings: Settings) -> Decoding:
    """Greedy, with the deployed agent's limits."""
    agent = settings.agent
    return Decoding(max_tokens=agent.max_tokens, max_steps=agent.max_steps)


@dataclass(frozen=True)
class Played:
    """One item that was played: its score, the last words, and all that was said."""

    mark: Mark
    answer: str
    messages: Sequence[Wire]
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass
class Asker:
    """One version (or foreign model) under examination, with one agent for all items."""

    engine: Inference
    model: str
    decoding: Decoding
    foreign: bool = False
    """Whether the engine is not ours: it may answer under another name, and knows no priorities."""
    extras: dict[str, Any] = field(default_factory=dict)
    """What players of some kinds take besides, by name (adapt.evals.toolbench.play)."""
    agent: Agent = field(init=False)

    def __post_init__(self) -> None:
        self.agent = Agent(self.engine, AgentSettings(max_steps=self.decoding.max_steps))

    @property
    def sampling(self) -> Sampling:
        """What every request of this examination is drawn with."""
        decoding = self.decoding
        sampling: Sampling = {"temperature": decoding.temperature, "seed": decoding.seed}
        return sampling if self.foreign else {**sampling, "priority": PRIORITY}

    async def chat(self, messages: list[Wire], tools: Sequence[Wire] = ()) -> Reply:
        """One reply. EngineError when the engine fails, or when another version answered."""
        reply = await self.engine.chat(
            self.model, messages, list(tools),
            max_tokens=self.decoding.max_tokens, **self.sampling,
        )  # fmt: skip
        if not self.foreign and reply.model != self.model:
            raise EngineRefused(f"{reply.model} answered, not {self.model}", status=400)
        return reply

    async def ask(self, item: Item) -> tuple[ItemOutcome, Played | None]:
        """Play one item; None and an outcome with `error` set where the engine kept failing."""
        try:
            played = await self._played(item)
        except EngineError as error:
            return _fault(item, str(error)), None
        mark = played.mark
        outcome = ItemOutcome(
            item=item.digest, slice=item.slice, score=mark.score, valid=mark.valid,
            answer=played.answer[:ANSWER_CHARS], detail=mark.detail, name=item.name,
            measures=dict(mark.measures),
        )  # fmt: skip
        return outcome, played

    async def _played(self, item: Item) -> Played:
        """Play it, again after a fault that may pass. EngineError when the engine kept failing."""
        pauses = iter(PAUSES_S)
        while True:
            try:
                return await player_of(item.check["kind"])(self, item)
            except EngineError as error:
                if too_long(error):
                    mark = invalid("the item does not fit in the model's context")
                    return Played(mark, "", to_wire(item.messages))
                pause = next(pauses, None)
                if pause is None or not _may_pass(error):
                    raise
            await asyncio.sleep(pause)


Player = Callable[[Asker, Item], Awaitable[Played]]


def player_of(kind: str) -> Player:
    """How items of a kind are played: one reply is asked, unless the kind takes several."""
    if kind == "task":
        return _play_task
    if kind in _ELSEWHERE:
        return import_module(_ELSEWHERE[kind]).play
    return _play_reply


_ELSEWHERE = {
    "turns": "adapt.evals.bfcl.turns",
    "toolbench": "adapt.evals.toolbench.play",
}
"""Modules with a `play` for kinds of several replies, imported on use."""


async def _play_reply(asker: Asker, item: Item) -> Played:
    messages = to_wire(item.messages)
    reply = await asker.chat(messages, item.tools)
    return Played(
        mark_reply(item, reply), shown(reply), [*messages, as_message(reply)],
        reply.prompt_tokens, reply.completion_tokens,
    )  # fmt: skip


async def _play_task(asker: Asker, item: Item) -> Played:
    """The agent on a task, in a fresh world."""
    task = task_of(item.check)
    catalogue = catalogue_of(item.check["catalogue_seed"])
    session = task.session(catalogue)
    registry = Registry(virtual_tools(catalogue, lambda _: session, task.offered))
    result = await asker.agent.run(
        item.messages, registry, asker.model, shown=item.shown,
        options=Options(asker.decoding.max_tokens, asker.sampling),
    )  # fmt: skip
    said = to_wire(result.messages)
    counts = (result.prompt_tokens, result.completion_tokens)
    if _talked_too_long(result):
        return Played(invalid("the conversation outgrew the context"), "", said, *counts)
    if result.fault is not None:
        raise result.fault
    if not asker.foreign and result.models != (asker.model,):
        answered = ", ".join(result.models)
        raise EngineRefused(f"{answered} answered, not {asker.model}", status=400)
    return Played(mark_run(task, result, session), result.answer, said, *counts)


def _talked_too_long(result: RunResult) -> bool:
    """Whether the engine refused a request only for what the model had said before in the run.

    Counted as a fault, one rambling answer would make every verdict abstain.
    """
    fault = result.fault
    return isinstance(fault, EngineRefused) and fault.status == 400 and result.steps > 1


def _may_pass(error: EngineError) -> bool:
    passing = isinstance(error, EngineRefused) and error.status in _PASSING
    return passing or isinstance(error, EngineUnavailable)


def _fault(item: Item, words: str) -> ItemOutcome:
    return ItemOutcome(
        item=item.digest, slice=item.slice, score=0.0, valid=False, error=words, name=item.name
    )


def shown(reply: Reply) -> str:
    """The reply as text: its words, or its calls."""
    if not reply.tool_calls:
        return reply.content
    return json.dumps([[c.name, c.arguments] for c in reply.tool_calls], ensure_ascii=False)


def as_message(reply: Reply) -> Wire:
    """The reply as a message of the conversation, in OpenAI's shape."""
    said: Wire = {"role": "assistant", "content": reply.content}
    if reply.tool_calls:
        said["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in reply.tool_calls
        ]
    return said
