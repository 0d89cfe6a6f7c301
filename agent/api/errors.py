"""Errors as OpenAI's clients expect them: `{"error": {message, type, param, code}}`.

The one place where an exception becomes a status. Installed by `agent.api.app`.
"""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from agent.api.complaints import complaint_of
from agent.api.text import sayable
from agent.engine_errors import too_long
from store.errors import (
    BusyError,
    EngineError,
    EngineRefused,
    NotFoundError,
    PerennialError,
    StateError,
    UserError,
)

RETRY_AFTER_S = 2
"""What a client is told to wait while the engine is away: it is restarted in the meantime."""


_UNREAD = "the body is not JSON in UTF-8"
"""FastAPI's only 400 of its own."""
MEANINGS = {
    400: "A request that is malformed, or that cannot be honoured",
    401: "The key is missing or wrong",
    403: "This caller may not",
    404: "What was named does not exist",
    409: "Not possible in the present state",
    413: "A body that is too large",
    429: "Too many requests of this key",
    503: "The engine is away for a moment",
}
"""The statuses of refusals, for the OpenAPI document."""


class Refusal(BaseModel):
    """What is wrong."""

    message: str
    """The thing, the value, and the way out, in words."""
    type: Literal["invalid_request_error", "server_error", "requests"]
    param: str | None
    """The field, where it is one."""
    code: str | None


class Refused(BaseModel):
    """Every error, in OpenAI's shape."""

    error: Refusal


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route says in the OpenAPI document of the refusals it may answer with, besides those
    that agent.api.contract puts in for all."""
    return {s: {"model": Refused, "description": MEANINGS[s]} for s in statuses}


class ApiError(Exception):
    """A refusal with its HTTP status, raised inside the API only."""

    def __init__(
        self, status: int, message: str, *, kind: str = "invalid_request_error",
        param: str | None = None, code: str | None = None, headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        message = sayable(message)  # it may repeat what the client sent
        self.status = status
        self.headers = dict(headers or {})
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}

    def response(self) -> JSONResponse:
        """The refusal as it is sent."""
        return JSONResponse(self.body, self.status, self.headers)


def api_error(error: PerennialError) -> ApiError:
    """Our error as a refusal."""
    words = str(error)
    if isinstance(error, EngineRefused) and error.status == 400:
        # The engine took our request apart: it is the client's, such as a schema that it knows no
        # grammar for.
        if too_long(error):
            return ApiError(400, words, param="messages", code="context_length_exceeded")
        return ApiError(400, words)
    if isinstance(error, EngineError):
        return ApiError(
            503, words, kind="server_error", code="engine_unavailable",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        )  # fmt: skip
    if isinstance(error, NotFoundError):
        return ApiError(404, words, code="not_found")
    if isinstance(error, BusyError | StateError):
        return ApiError(409, words, code="conflict")
    if isinstance(error, UserError):
        return ApiError(400, words)
    return ApiError(500, words, kind="server_error")


def install(app: FastAPI) -> None:
    """Answer every failure of `app` in OpenAI's shape."""

    @app.exception_handler(ApiError)
    async def refused(_: Request, error: ApiError) -> JSONResponse:
        return error.response()

    @app.exception_handler(PerennialError)
    async def ours(_: Request, error: PerennialError) -> JSONResponse:
        return api_error(error).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        said = complaint_of(error.errors(), request.headers.get("content-type"))
        return ApiError(400, said.message, param=said.param).response()

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, error: Exception) -> JSONResponse:
        # Raised on after the answer is sent, so the log has the traceback.
        words = f"the server failed: {type(error).__name__}; its log has the rest"
        return ApiError(500, words, kind="server_error").response()

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        words, headers = str(error.detail), error.headers or {}
        asked = f"{request.method} {request.url.path}"
        if error.status_code == 400:
            words = _UNREAD
        elif (error.status_code, words) == (404, "Not Found"):
            words = f"there is no {asked}; /openapi.json lists what there is"
        elif error.status_code == 405:
            words = f"there is no {asked}; this path takes {headers.get('Allow', 'other methods')}"
        return ApiError(error.status_code, words, headers=error.headers).response()
