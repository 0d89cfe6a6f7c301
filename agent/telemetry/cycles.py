"""Update cycles as they are told of: a span for the cycle, one for each stage, ids in the logs.

A cycle that goes on after an interruption is another trace, of the same number. Called by
adapt.cycle.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import Status, StatusCode

from agent.telemetry import attributes as names
from agent.telemetry.logs import log_fields
from agent.telemetry.metrics import STAGE_FAILURES, STAGE_SECONDS
from agent.telemetry.traces import spanned


class SeenCycle:
    """One cycle under way. `state` is how it ended, empty while it has not."""

    def __init__(self) -> None:
        self.state = ""


@contextmanager
def seen_cycle(number: int) -> Iterator[SeenCycle]:
    """See a cycle until the block ends."""
    cycle = SeenCycle()
    with (
        log_fields(**{names.LOG_CYCLE: number}),
        spanned("cycle", {names.CYCLE: number}) as span,
    ):
        yield cycle
        span.set_attribute(names.CYCLE_STATE, cycle.state)
        if cycle.state == "failed":
            span.set_status(Status(StatusCode.ERROR))


@contextmanager
def seen_stage(number: int, stage: str) -> Iterator[None]:
    """See a stage of it. One that is cancelled is neither timed nor counted: it is resumed."""
    about = {names.CYCLE: number, names.STAGE: stage}
    began = time.monotonic()
    with (
        log_fields(**{names.LOG_STAGE: stage}),
        spanned(f"cycle {stage}", about),
    ):
        try:
            yield
        except Exception:
            STAGE_FAILURES.labels(stage).inc()
            raise
        STAGE_SECONDS.labels(stage).observe(time.monotonic() - began)
