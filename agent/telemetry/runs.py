"""A run of the agent as it is told of: its span, its ids in the logs, its counts.

The span is never current by itself: a stream is asked for by one task and read by another, and what
is current belongs to a task. The nodes of the graph make it current while they work (`in_run`).
Called by agent.runs and agent.graph.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode

from agent.telemetry import attributes as names
from agent.telemetry.logs import MORE, log_fields
from agent.telemetry.metrics import RUN_SECONDS, RUN_STEPS, RUNS, RUNS_UNDER_WAY, TOKENS
from agent.telemetry.traces import TRACER

if TYPE_CHECKING:
    from agent.state import RunResult

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class SeenRun:
    """One run, from when its version is pinned. `outcome` is that of a run that did not end."""

    def __init__(self, version: str, span: Span) -> None:
        self._version = version
        self._span = span
        self._began = time.monotonic()
        self._ids: dict[str, Any] = {names.LOG_VERSION: version}
        self.outcome = ""

    def identified(self, run: str, thread: str) -> None:
        """What the run is called."""
        self._ids |= {names.LOG_RUN: run, names.LOG_THREAD: thread}
        self._span.set_attributes(
            {names.RUN: run, names.RESPONSE_ID: run, names.CONVERSATION: thread}
        )

    @contextmanager
    def current(self) -> Iterator[None]:
        """Spans begun inside are the run's, and lines logged inside have its ids."""
        with (
            log_fields(**self._ids),
            trace.use_span(
                self._span, end_on_exit=False, record_exception=False, set_status_on_exception=False
            ),
        ):
            yield

    def ended(self, result: "RunResult") -> None:
        """The run came to its end, or stopped to ask."""
        if result.fault is not None:
            self.outcome = "failed"
            self._span.set_attribute(names.ERROR_TYPE, type(result.fault).__name__)
            self._span.set_status(Status(StatusCode.ERROR))
        elif result.stopped:
            self.outcome = "stopped"
        else:
            self.outcome = "answered" if result.answer.strip() else "empty"
            RUN_SECONDS.observe(time.monotonic() - self._began)
        RUN_STEPS.observe(result.steps)
        TOKENS.labels(self._version, "prompt").inc(result.prompt_tokens)
        TOKENS.labels(self._version, "completion").inc(result.completion_tokens)
        self._span.set_attributes(
            {
                names.STEPS: result.steps, names.INPUT_TOKENS: result.prompt_tokens,
                names.OUTPUT_TOKENS: result.completion_tokens,
                names.FINISH_REASONS: [result.finish_reason],
            }
        )  # fmt: skip
        facts: dict[str, Any] = {
            "steps": result.steps, "prompt_tokens": result.prompt_tokens,
            "completion_tokens": result.completion_tokens,
        }  # fmt: skip
        if result.error:
            facts["fault"] = result.error
        self._log(**facts)

    def closed(self) -> None:
        """Nothing more comes of it, ended or not."""
        if not self.outcome:
            self.outcome = "broken"
            self._span.set_status(Status(StatusCode.ERROR))
        if self.outcome in ("cancelled", "broken"):
            self._log()
        RUNS.labels(self._version, self.outcome).inc()
        self._span.set_attribute(names.OUTCOME, self.outcome)
        self._span.end()

    def _log(self, **facts: Any) -> None:
        level = logging.WARNING if self.outcome in ("failed", "broken") else logging.INFO
        facts |= {"outcome": self.outcome, "seconds": round(time.monotonic() - self._began, 3)}
        with self.current():
            log.log(level, "run %s", self.outcome, extra={MORE: facts})


@contextmanager
def seen_run(version: str) -> Iterator[SeenRun]:
    """See a run until the block ends, however that comes about."""
    span = TRACER.start_span(
        f"{names.INVOKE_AGENT} {names.OUR_AGENT}",
        attributes={
            names.OPERATION: names.INVOKE_AGENT, names.AGENT: names.OUR_AGENT,
            names.PROVIDER: names.VLLM, names.REQUEST_MODEL: version,
            names.RESPONSE_MODEL: version, names.VERSION: version,
        },
    )  # fmt: skip
    run = SeenRun(version, span)
    RUNS_UNDER_WAY.inc()
    try:
        yield run
    except (asyncio.CancelledError, GeneratorExit):
        run.outcome = run.outcome or "cancelled"
        raise
    finally:
        RUNS_UNDER_WAY.dec()
        run.closed()


def in_run(node: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """A node of the graph, (state, runtime), that works inside its run's span."""

    @functools.wraps(node)
    async def seen(*args: P.args, **kwargs: P.kwargs) -> T:
        runtime: Any = kwargs["runtime"] if "runtime" in kwargs else args[1]
        with runtime.context.seen.current():
            return await node(*args, **kwargs)

    return seen
