"""Logs as lines of text or of JSON, each with the run, thread, version, cycle and stage it is of.

Records come from the standard library's loggers; which of these ids belong to a line follows from
where it was written (`log_fields`). Set up by whoever opens a runtime, for as long as it is open.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from opentelemetry import trace

from agent.config_telemetry import TelemetrySettings
from agent.telemetry.attributes import LOG_SPAN, LOG_TRACE

_FIELDS: ContextVar[Mapping[str, Any]] = ContextVar("log_fields", default={})  # noqa: B039
OURS = ("store", "tools", "agent", "adapt")
"""Whose words the level is about; libraries, which tell of every request, are heard from warnings
up."""
MORE = "facts"
"""Key of `extra` in a log call whose dict is put beside the ids."""


@contextmanager
def log_fields(**fields: Any) -> Iterator[None]:
    """Lines that are logged inside, also by tasks and threads begun there, have these fields."""
    token = _FIELDS.set({**_FIELDS.get(), **fields})
    try:
        yield
    finally:
        _FIELDS.reset(token)


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, ids, facts, error."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_FIELDS.get(),
            **getattr(record, MORE, {}),
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line[LOG_TRACE] = trace.format_trace_id(span.trace_id)
            line[LOG_SPAN] = trace.format_span_id(span.span_id)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        # ASCII: half a surrogate pair in a message must not cost the line.
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """A line for people: the message, then the ids in brackets."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with the traceback where there is one."""
        said = super().format(record)
        fields = {**_FIELDS.get(), **getattr(record, MORE, {})}
        words = " ".join(f"{name}={value}" for name, value in fields.items())
        first, line_end, rest = said.partition("\n")
        return f"{first} [{words}]{line_end}{rest}" if words else said


@contextmanager
def logging_as(settings: TelemetrySettings, stream: TextIO | None = None) -> Iterator[None]:
    """Write what all loggers say to `stream` (standard error) until the block ends."""
    handler = logging.StreamHandler(stream or sys.stderr)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    json_lines = settings.log_format == "json"
    handler.setFormatter(JsonLines() if json_lines else TextLines("%(levelname)s %(message)s"))
    root, own = logging.getLogger(), [logging.getLogger(name) for name in OURS]
    before = [logger.level for logger in (root, *own)]
    root.addHandler(handler)
    root.setLevel(max(level, logging.WARNING))
    for logger in own:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, was in zip((root, *own), before, strict=True):
            logger.setLevel(was)
        root.removeHandler(handler)
