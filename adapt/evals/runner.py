"""Asks one version every item of a suite and writes down what came of it.

Single replies are asked of the engine; tasks run the real agent in a world of their own. Decoding
is fixed. An engine fault becomes an outcome with `error` set, never a score. Decides nothing (that
is adapt.gate) and stores nothing. Called by the cycle and the command line.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from adapt.evals.checks import Mark, invalid, mark_reply, mark_run
from adapt.evals.items import Item, Suite, task_of
from adapt.evals.suites import catalogue_of
from agent.config import AgentSettings, Settings
from agent.engine import Engine, Reply, Sampling
from agent.history import to_wire
from agent.runs import Agent, Options
from agent.state import RunResult
from store.errors import EngineError, EngineRefused
from store.records import EvalReport, ItemOutcome, digest_of, utc_now
from tools.registry import Registry
from tools.virtual import virtual_tools

Progress = Callable[[int, int], None]
"""(items done, items in all)."""
CONCURRENCY = 64
"""Items under way at once: enough to fill the engine's batch."""
PRIORITY = 1
"""Behind what users ask, which has priority 0."""
ANSWER_CHARS = 400
"""How much of an answer is kept: enough to see why, and a report stays small."""


@dataclass(frozen=True)
class Decoding:
    """How every answer of an evaluation is drawn. Part of the report: two reports made with
    different decoding are not compared."""

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


async def run_suite(
    engine: Engine,
    suite: Suite,
    version: str,
    *,
    settings: Settings | None = None,
    concurrency: int = CONCURRENCY,
    decoding: Decoding | None = None,
    progress: Progress | None = None,
) -> EvalReport:
    """Ask `version` every item, at most `concurrency` at once; outcomes are in the suite's order.

    `decoding` defaults to `decoding_of(settings)`. Engine faults are in the outcomes.
    """
    decoding = decoding or (decoding_of(settings) if settings else Decoding())
    asker = _Asker(engine, version, decoding)
    started = time.monotonic()
    outcomes: dict[int, ItemOutcome] = {}
    waiting: Iterator[tuple[int, Item]] = iter(enumerate(suite.items))

    async def work() -> None:
        # Workers on one iterator: a task per item would hold all items' state at once.
        for place, item in waiting:
            outcomes[place] = await asker.outcome(item)
            if progress:
                progress(len(outcomes), len(suite.items))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(suite.items))):
            group.create_task(work())
    return _report(
        suite, version, decoding, tuple(outcomes[i] for i in range(len(suite.items))),
        {"concurrency": concurrency, "seconds": round(time.monotonic() - started, 3)},
    )  # fmt: skip


def _report(
    suite: Suite, version: str, decoding: Decoding, outcomes: tuple[ItemOutcome, ...],
    engine: dict[str, int | float],
) -> EvalReport:  # fmt: skip
    """The record. Its digest leaves out times: the same answers have the same digest."""
    body = [version, suite.digest, asdict(decoding), [o.model_dump(mode="json") for o in outcomes]]
    return EvalReport(
        digest=digest_of(body),
        version=version,
        suite=suite.name,
        suite_digest=suite.digest,
        decoding=asdict(decoding),
        engine=engine,
        outcomes=outcomes,
        created_at=utc_now(),
    )


class _Asker:
    """One version under examination: a single agent and graph for all items."""

    def __init__(self, engine: Engine, version: str, decoding: Decoding) -> None:
        self.engine = engine
        self.version = version
        self.sampling: Sampling = {
            "temperature": decoding.temperature, "seed": decoding.seed, "priority": PRIORITY,
        }  # fmt: skip
        self.max_tokens = decoding.max_tokens
        self.agent = Agent(engine, AgentSettings(max_steps=decoding.max_steps))

    async def outcome(self, item: Item) -> ItemOutcome:
        """Ask one item."""
        if item.check["kind"] == "task":
            return await self._run(item)
        try:
            reply = await self.engine.chat(
                self.version, to_wire(item.messages), list(item.tools),
                max_tokens=self.max_tokens, **self.sampling,
            )  # fmt: skip
        except EngineError as error:
            return _fault(item, str(error))
        if reply.model != self.version:
            return _fault(item, f"{reply.model} answered, not {self.version}")
        return _outcome(item, mark_reply(item, reply), _shown(reply))

    async def _run(self, item: Item) -> ItemOutcome:
        """The agent on a task, in a fresh world."""
        task = task_of(item.check)
        catalogue = catalogue_of(item.check["catalogue_seed"])
        session = task.session(catalogue)
        registry = Registry(virtual_tools(catalogue, lambda _: session, task.offered))
        result = await self.agent.run(
            item.messages, registry, self.version, shown=item.shown,
            options=Options(self.max_tokens, self.sampling),
        )  # fmt: skip
        if _talked_too_long(result):
            return _outcome(item, invalid("the conversation outgrew the context"), "")
        if result.error is not None:
            return _fault(item, result.error)
        if result.models != (self.version,):
            return _fault(item, f"{', '.join(result.models)} answered, not {self.version}")
        return _outcome(item, mark_run(task, result, session), result.answer)


def _talked_too_long(result: RunResult) -> bool:
    """Whether the engine refused a request only for what the model had said before in the run.

    Counted as a fault, one rambling answer would make every verdict abstain.
    """
    fault = result.fault
    return isinstance(fault, EngineRefused) and fault.status == 400 and result.steps > 1


def _outcome(item: Item, mark: Mark, answer: str) -> ItemOutcome:
    return ItemOutcome(
        item=item.digest, slice=item.slice, score=mark.score, valid=mark.valid,
        answer=answer[:ANSWER_CHARS], detail=mark.detail,
    )  # fmt: skip


def _fault(item: Item, words: str) -> ItemOutcome:
    return ItemOutcome(item=item.digest, slice=item.slice, score=0.0, valid=False, error=words)


def _shown(reply: Reply) -> str:
    """The reply as text: its words, or its calls."""
    if not reply.tool_calls:
        return reply.content
    return json.dumps([[c.name, c.arguments] for c in reply.tool_calls], ensure_ascii=False)
