"""Our own series: what is counted and timed while the process works.

Kept in a registry of their own, one for the process. What is read at the time of asking (versions,
documents, engines) is agent.telemetry.exposition's, which also writes all of it down.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_LONG = (1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 4 * 3600.0, 12 * 3600.0)

HTTP_REQUESTS = Counter(
    "perennial_http_requests", "HTTP requests answered.", ("method", "route", "status"),
    registry=REGISTRY,
)  # fmt: skip
HTTP_SECONDS = Histogram(
    "perennial_http_request_seconds", "Time to the last byte of an answer.", ("route",),
    buckets=_QUICK, registry=REGISTRY,
)  # fmt: skip
HTTP_UNDER_WAY = Gauge(
    "perennial_http_requests_in_progress", "HTTP requests under way.", registry=REGISTRY
)

RUNS = Counter(
    "perennial_runs",
    "Runs of the agent that have ended, by the version that answered and how: answered, empty, "
    "failed, stopped (to ask a person), cancelled (its client left), broken.",
    ("version", "outcome"), registry=REGISTRY,
)  # fmt: skip
RUNS_UNDER_WAY = Gauge("perennial_runs_in_progress", "Runs under way.", registry=REGISTRY)
RUN_SECONDS = Histogram(
    "perennial_run_seconds", "Time of a run that was answered.", buckets=_QUICK, registry=REGISTRY
)
RUN_STEPS = Histogram(
    "perennial_run_steps", "Model calls of a run.", buckets=(1, 2, 3, 4, 6, 8, 12, 16, 32),
    registry=REGISTRY,
)  # fmt: skip
TOKENS = Counter(
    "perennial_tokens", "Tokens of model calls, by version and kind: prompt, completion.",
    ("version", "kind"), registry=REGISTRY,
)  # fmt: skip

MODEL_CALLS = Counter(
    "perennial_model_calls", "Model calls, by how they ended: ok, error, cancelled.",
    ("outcome",), registry=REGISTRY,
)  # fmt: skip
MODEL_SECONDS = Histogram(
    "perennial_model_call_seconds", "Time of a model call.", buckets=_QUICK, registry=REGISTRY
)
FIRST_TOKEN_SECONDS = Histogram(
    "perennial_model_call_first_token_seconds", "Time to the first text of a streamed model call.",
    buckets=_QUICK, registry=REGISTRY,
)  # fmt: skip
TOOL_CALLS = Counter(
    "perennial_tool_calls",
    "Tool calls by tool (`unknown` for names that the model made up) and outcome: ok, error, "
    "cancelled.",
    ("tool", "outcome"), registry=REGISTRY,
)  # fmt: skip
TOOL_SECONDS = Histogram(
    "perennial_tool_call_seconds", "Time of a tool call.", buckets=_QUICK, registry=REGISTRY
)

FEEDBACK = Counter(
    "perennial_feedback", "What users said of answers: up, down.", ("rating",), registry=REGISTRY
)

STAGE_SECONDS = Histogram(
    "perennial_cycle_stage_seconds", "Time of a stage of an update cycle that came to its end.",
    ("stage",), buckets=_LONG, registry=REGISTRY,
)  # fmt: skip
STAGE_FAILURES = Counter(
    "perennial_cycle_stage_failures", "Stages of update cycles that failed.", ("stage",),
    registry=REGISTRY,
)  # fmt: skip
