"""Calls of the model and of tools as they are told of: spans, times, counts.

No text of either is told. Called by the nodes of the agent's graph.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from agent.telemetry import attributes as names
from agent.telemetry.metrics import (
    FIRST_TOKEN_SECONDS,
    MODEL_CALLS,
    MODEL_SECONDS,
    TOOL_CALLS,
    TOOL_SECONDS,
)
from agent.telemetry.traces import spanned

_ASKED = {
    "temperature": names.REQUEST_TEMPERATURE,
    "top_p": names.REQUEST_TOP_P,
    "seed": names.REQUEST_SEED,
}


class SeenModelCall:
    """One model call under way."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._began = time.monotonic()
        self._first = False

    def wrote(self) -> None:
        """A piece of text came."""
        if not self._first:
            self._first = True
            seconds = time.monotonic() - self._began
            FIRST_TOKEN_SECONDS.observe(seconds)
            self._span.set_attribute(names.FIRST_CHUNK, seconds)

    def replied(
        self, model: str, finish_reason: str, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """The whole reply is there."""
        MODEL_SECONDS.observe(time.monotonic() - self._began)
        self._span.set_attributes(
            {
                names.RESPONSE_MODEL: model, names.FINISH_REASONS: [finish_reason],
                names.INPUT_TOKENS: prompt_tokens, names.OUTPUT_TOKENS: completion_tokens,
            }
        )  # fmt: skip


@contextmanager
def model_call(
    version: str, max_tokens: int, sampling: Mapping[str, Any], *, streaming: bool
) -> Iterator[SeenModelCall]:
    """See a call of the model, made inside the block."""
    asked = {name: sampling[key] for key, name in _ASKED.items() if sampling.get(key) is not None}
    form = "json" if sampling.get("response_format") else "text"
    about = {
        names.OPERATION: names.CHAT, names.PROVIDER: names.VLLM, names.REQUEST_MODEL: version,
        names.REQUEST_MAX_TOKENS: max_tokens, names.REQUEST_STREAM: streaming,
        names.OUTPUT_TYPE: form, names.VERSION: version, **asked,
    }  # fmt: skip
    with spanned(f"{names.CHAT} {version}", about, SpanKind.CLIENT) as span:
        outcome = "error"
        try:
            yield SeenModelCall(span)
            outcome = "ok"
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        finally:
            MODEL_CALLS.labels(outcome).inc()


class SeenToolCall:
    """One tool call under way."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.outcome = "error"

    def replied(self, *, ok: bool) -> None:
        """The tool's result is there; one that is not `ok` is an error that the model reads."""
        self.outcome = "ok" if ok else "error"
        if not ok:
            self._span.set_attribute(names.ERROR_TYPE, "tool_error")
            self._span.set_status(Status(StatusCode.ERROR))


@contextmanager
def tool_call(name: str, id: str, *, known: bool) -> Iterator[SeenToolCall]:
    """See a call of a tool, made inside the block. Names that are not `known` are the model's own,
    of which there may be any number."""
    shown = name if known else "unknown"
    about = {
        names.OPERATION: names.EXECUTE_TOOL, names.TOOL_NAME: shown, names.TOOL_CALL: id,
        names.TOOL_TYPE: "function",
    }  # fmt: skip
    began = time.monotonic()
    with spanned(f"{names.EXECUTE_TOOL} {shown}", about) as span:
        call = SeenToolCall(span)
        try:
            yield call
        except (asyncio.CancelledError, GeneratorExit):
            call.outcome = "cancelled"
            raise
        finally:
            TOOL_CALLS.labels(shown, call.outcome).inc()
            TOOL_SECONDS.observe(time.monotonic() - began)
