"""Traces: where spans come from, and where they go.

Spans are made with OpenTelemetry's API, which does nothing as long as nobody listens. Nobody does
unless an endpoint is set: only then is the SDK loaded, and only there is anything sent. What is
spanned is said by the other modules of this package. Opened by whoever opens a runtime.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from agent.config_telemetry import TelemetrySettings
from agent.telemetry.attributes import ERROR_TYPE, OUR_AGENT, SERVICE_NAME, SERVICE_VERSION

TRACER = trace.get_tracer("perennial")
PATH = "/v1/traces"


@contextmanager
def spanned(
    name: str, about: Mapping[str, Any], kind: SpanKind = SpanKind.INTERNAL
) -> Iterator[Span]:
    """A span that is current inside the block. An error's class is told and its words are not: they
    may repeat what a user wrote."""
    with TRACER.start_as_current_span(
        name, kind=kind, attributes=about, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute(ERROR_TYPE, type(error).__name__)
            span.set_status(Status(StatusCode.ERROR))
            raise


@asynccontextmanager
async def exporting(settings: TelemetrySettings) -> AsyncIterator[None]:
    """Send spans to the endpoint until the block ends, the last ones with it."""
    if settings.otlp_endpoint is None:
        yield
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        # For the process once and for all: a second one would be refused.
        named = {SERVICE_NAME: OUR_AGENT, SERVICE_VERSION: version("perennial")}
        provider = TracerProvider(resource=Resource.create(named))
        trace.set_tracer_provider(provider)
    processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_endpoint + PATH))
    provider.add_span_processor(processor)
    try:
        yield
    finally:
        # In a thread: a collector that is away is waited for.
        await asyncio.to_thread(processor.shutdown)
