"""Errors as OpenAI's clients expect them: `{"error": {message, type, param, code}}`.

The one place where an exception becomes a status. Installed by `agent.api.app`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

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
_PLACES = ("body", "query", "path", "header")
_ROLES = ("system", "developer", "user", "assistant", "tool")
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
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return _invalid(error.errors()[0]).response()

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, error: Exception) -> JSONResponse:
        # Raised on after the answer is sent, so the log has the traceback.
        words = f"the server failed: {type(error).__name__}; its log has the rest"
        return ApiError(500, words, kind="server_error").response()

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        words = _UNREAD if error.status_code == 400 else str(error.detail)
        return ApiError(error.status_code, words, headers=error.headers).response()


def _named(places: Sequence[str | int]) -> Iterator[str]:
    """Fields and indices alone: pydantic puts the branches of a union between them."""
    before: str | int = ""
    for place in places:
        branch = isinstance(before, int) and place in _ROLES
        if place not in _PLACES and not branch and "[" not in str(place):
            yield str(place)
        before = place


def _invalid(first: Mapping[str, Any]) -> ApiError:
    """The first complaint of pydantic: which field, and what is wrong with it."""
    path = ".".join(_named(first["loc"]))
    said = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return ApiError(400, f"the body is not JSON: {first.get('ctx', {}).get('error', said)}")
    if first["type"].startswith("union_tag_"):
        # The complaint is about the field that tells the branches apart.
        path = ".".join(filter(None, (path, first["ctx"]["discriminator"].strip("'"))))
    if first["type"] == "extra_forbidden":
        said = "there is no such field"
    if first["type"] == "not_supported":
        return ApiError(400, said, param=first["ctx"]["field"])
    return ApiError(400, f"{path}: {said}" if path else said, param=sayable(path) or None)
