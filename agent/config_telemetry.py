"""The section of the settings about what is told of what happens.

As agent.config_sections, which puts all sections together and is where others get them.
"""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from agent.config_base import Section


class TelemetrySettings(Section):
    """Traces and logs. Metrics are always there, at /metrics."""

    otlp_endpoint: str | None = Field(default=None)
    """URL of a collector that takes OTLP over HTTP, such as http://127.0.0.1:4318; traces are sent
    there. Unset, none are made. Headers, such as its key, are read from
    OTEL_EXPORTER_OTLP_HEADERS."""
    log_format: Literal["text", "json"] = "text"
    """Lines for people, or one JSON object a line."""
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """What is logged, on standard error; `info` tells of every run. Libraries are heard from
    warnings up."""

    @field_validator("otlp_endpoint")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        """Refuses what is no URL, and one with a password, which belongs in the environment."""
        if value is None:
            return None
        url = urlsplit(value)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.password:
            raise ValueError("not the URL of a collector, http://host:4318")
        return value.rstrip("/")
