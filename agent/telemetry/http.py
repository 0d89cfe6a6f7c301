"""Requests as they are told of: a span each, in the caller's trace where it names one, and counts.

Wrapped around the application by `agent.api.app`. Whoever only looks (health, metrics) gets no
span.
"""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.telemetry import attributes as names
from agent.telemetry.metrics import HTTP_REQUESTS, HTTP_SECONDS, HTTP_UNDER_WAY
from agent.telemetry.traces import TRACER

LOOKS = ("/health", "/ready", "/metrics")
NOWHERE = "unmatched"
"""The route of a request that no route takes: paths that strangers try are without number."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
"""Any other is told as OpenTelemetry has it."""
_PROPAGATOR = TraceContextTextMapPropagator()


class Seen:
    """Sees every request of an application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.monotonic()
        HTTP_UNDER_WAY.inc()
        try:
            with _spanned(scope) as span:
                try:
                    await self._app(scope, receive, noted)
                except Exception:
                    # What Starlette answers with, around us.
                    status = status or 500
                    raise
                finally:
                    _told(span, scope, status)
        finally:
            HTTP_UNDER_WAY.dec()
            route = _route(scope)
            # No status: the client went before there was one.
            HTTP_REQUESTS.labels(_method(scope), route, str(status or "none")).inc()
            HTTP_SECONDS.labels(route).observe(time.monotonic() - began)


def _spanned(scope: Scope) -> AbstractContextManager[Span]:
    if scope["path"] in LOOKS:
        return nullcontext(INVALID_SPAN)
    return TRACER.start_as_current_span(
        _method(scope), context=_PROPAGATOR.extract(_headers(scope)), kind=SpanKind.SERVER,
        attributes={names.HTTP_METHOD: _method(scope)},
        record_exception=False, set_status_on_exception=False,
    )  # fmt: skip


def _told(span: Span, scope: Scope, status: int) -> None:
    route = _route(scope)
    span.update_name(f"{_method(scope)} {route}")
    span.set_attributes({names.HTTP_ROUTE: route, names.HTTP_STATUS: status})
    if status >= 500 or not status:
        span.set_status(Status(StatusCode.ERROR))


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "_OTHER"


def _route(scope: Scope) -> str:
    """The template that matched, such as /v1/models/{model}."""
    return getattr(scope.get("route"), "path", None) or NOWHERE


def _headers(scope: Scope) -> Mapping[str, str]:
    """Those that name a trace."""
    wanted = (b"traceparent", b"tracestate")
    return {k.decode(): v.decode("latin-1") for k, v in scope["headers"] if k in wanted}
