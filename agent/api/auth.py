"""Who calls, and what they may: the bearer of a key, or without any key this machine alone.

A key is one that `perennial key` made, the one of PERENNIAL_SERVER__API_KEY, or the running
server's own, which whoever may read the home finds there. Only where no key was ever made may this
machine call without one; it also turns away browsers then: a foreign page can reach a loopback
address, directly or through a host name that it points there. What a caller may use is counted in
agent.api.usage. Dependencies of every router but /health.
"""

import hmac
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from agent.api.errors import ApiError
from agent.api.state import AppState
from agent.config_sections import is_loopback
from store.keys import SCOPES, ApiKey, Scope
from tools.openapi_request import MARK


def app_state(request: Request) -> AppState:
    """What `create_app` was given."""
    return request.app.state.perennial


State = Annotated[AppState, Depends(app_state)]

# For the OpenAPI document; the key itself is read by `caller_of`.
_BEARER = HTTPBearer(
    auto_error=False, scheme_name="key", description="A key of `perennial key create`."
)


@dataclass(frozen=True)
class Caller:
    """Who sent a request. `tenant` is a key's id; who administers the server has none, and all
    threads."""

    name: str
    scopes: tuple[Scope, ...]
    tenant: str | None = None
    rate_per_minute: int | None = None
    concurrent: int | None = None

    @classmethod
    def of(cls, key: ApiKey) -> "Caller":
        """The bearer of a key that was made. Admins see all threads, as they can read the home."""
        tenant = None if "admin" in key.scopes else key.id
        return cls(key.name, key.scopes, tenant, key.rate_per_minute, key.concurrent)

    def may(self, scope: Scope) -> bool:
        """Whether that is among its scopes."""
        return scope in self.scopes or "admin" in self.scopes

    def thread(self, name: str | None) -> str | None:
        """A thread's name among those of all callers: two tenants' `main` are two threads."""
        return f"{self.tenant}:{name}" if self.tenant and name else name


def caller_of(request: Request, state: State) -> Caller:
    """The caller. 401 for a wrong or missing key, 403 for what comes from elsewhere without one."""
    if MARK in request.headers:
        # Whatever it is allowed elsewhere, and whoever's key it sends along.
        raise ApiError(403, "no tool may call this server", code="forbidden")
    secret = state.settings.server.api_key
    fixed = secret.get_secret_value() if secret else ""
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    # LangGraph's clients have a header of their own.
    other = request.headers.get("x-api-key", "")
    given = given.strip() if kind.lower() == "bearer" else other.strip()
    for name, key in (("the environment's key", fixed), ("this machine", state.own_key)):
        # compare_digest: the time taken must not tell how much of a guess is right.
        if key and given and hmac.compare_digest(given.encode(), key.encode()):
            return Caller(name, SCOPES)
    if given and (found := state.store.keys.find(given)):
        return Caller.of(found)
    if fixed or state.store.keys.any():
        raise ApiError(
            401, "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'",
            code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"},
        )  # fmt: skip
    _refuse_elsewhere(request)
    return Caller("this machine", SCOPES)


def _refuse_elsewhere(request: Request) -> None:
    client = request.client.host if request.client else ""
    host = request.url.hostname or ""
    origin = request.headers.get("origin")
    page = urlsplit(origin).hostname or "" if origin else host
    for place in (client, host, page):
        if not is_loopback(place):
            raise ApiError(
                403, f"{place or 'an unknown place'} may not call without a key: make one with "
                "`perennial key create`, or set PERENNIAL_SERVER__API_KEY", code="forbidden",
            )  # fmt: skip


def _needs(scope: Scope) -> Callable[..., AsyncIterator[Caller]]:
    async def needs(
        request: Request, state: State, _: Annotated[Any, Depends(_BEARER)]
    ) -> AsyncIterator[Caller]:
        caller = caller_of(request, state)
        if not caller.may(scope):
            raise ApiError(
                403, f"this key may {', '.join(caller.scopes)}, and this needs {scope}",
                code="insufficient_scope",
            )  # fmt: skip
        # Held until the last byte of a stream is sent.
        async with state.usage.counted(caller):
            yield caller

    return needs


def _scoped(scope: Scope) -> Any:
    return Depends(_needs(scope))


MayChat, MayRead, MayAdmin = _scoped("chat"), _scoped("read"), _scoped("admin")
Chatting = Annotated[Caller, MayChat]
Administering = Annotated[Caller, MayAdmin]
