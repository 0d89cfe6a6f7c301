"""Who looks at a page, and what they may: the bearer of a session, or this machine.

A request that changes something must carry the token of its own session, which no foreign page can
read; the cookie is never sent along from one either (SameSite). Dependencies of the pages' routers.
"""

import hmac
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request

from agent.api.auth import Caller, State, caller_of
from agent.api.errors import ApiError
from agent.api.state import AppState
from agent.web.session import ANYBODY, ENVIRONMENT, Session, Sessions
from store.keys import SCOPES, Scope

TOKEN_FIELD, TOKEN_HEADER = "csrf", "X-CSRF"
_CHANGES_NOTHING = ("GET", "HEAD")


@dataclass(frozen=True)
class Visitor:
    """Who looks, and the session that goes with it."""

    caller: Caller
    session: Session
    logged_in: bool
    """By a key; else this machine may all."""

    def may(self, scope: Scope) -> bool:
        """Whether that is among the caller's scopes."""
        return self.caller.may(scope)


def sessions_of(request: Request) -> Sessions:
    """The application's one maker of sessions."""
    return request.app.state.sessions


def cookie_name(request: Request) -> str:
    """One per port: browsers share cookies between all servers of a host."""
    return f"perennial_{request.url.port or 'session'}"


def fixed_key(state: AppState) -> str:
    """The environment's key, empty for none."""
    secret = state.settings.server.api_key
    return secret.get_secret_value() if secret else ""


def visitor_of(request: Request, state: AppState) -> Visitor:
    """Whoever looks. ApiError 401 where a key is needed, 403 for a place without one."""
    sessions = sessions_of(request)
    session = sessions.read(request.cookies.get(cookie_name(request)))
    if session and (caller := _bearer(session, sessions, state)):
        return Visitor(caller, session, True)
    caller = caller_of(request, state)
    if session is None or session.key != ANYBODY:
        session = sessions.begin()
        request.state.new_session = session
    return Visitor(caller, session, False)


def _bearer(session: Session, sessions: Sessions, state: AppState) -> Caller | None:
    """The caller behind a session, None once its key is gone."""
    if session.key == ENVIRONMENT:
        fixed = fixed_key(state)
        same = fixed and hmac.compare_digest(sessions.proof(fixed), session.proof)
        return Caller("the environment's key", SCOPES) if same else None
    key = state.store.keys.valid(session.key) if session.key != ANYBODY else None
    return Caller.of(key) if key else None


async def refuse_forged(request: Request, session: Session) -> None:
    """403 for a change that did not come from a page of this session."""
    origin = request.headers.get("origin")
    if origin and urlsplit(origin).netloc != request.headers.get("host"):
        raise ApiError(403, f"a page of {origin} may not do this", code="forbidden")
    given = request.headers.get(TOKEN_HEADER) or (await request.form()).get(TOKEN_FIELD)
    if not isinstance(given, str) or not hmac.compare_digest(
        given.encode(), session.token.encode()
    ):
        raise ApiError(
            403, "this page was open for too long; reload it and try again", code="forbidden"
        )


def _needs(scope: Scope | None) -> Callable[..., AsyncIterator[Visitor]]:
    async def needs(request: Request, state: State) -> AsyncIterator[Visitor]:
        visitor = visitor_of(request, state)
        request.state.visitor = visitor
        if scope is not None and not visitor.may(scope):
            raise ApiError(
                403, f"this key may {', '.join(visitor.caller.scopes)}, and this needs {scope}; "
                "log out and come back with another key", code="insufficient_scope",
            )  # fmt: skip
        if request.method in _CHANGES_NOTHING:
            yield visitor
            return
        await refuse_forged(request, visitor.session)
        # What asks the model counts as the API's requests do, until the last byte of a stream.
        async with state.usage.counted(visitor.caller):
            yield visitor

    return needs


def _scoped(scope: Scope | None) -> Any:
    return Depends(_needs(scope))


Looking = Annotated[Visitor, _scoped(None)]
"""Whatever the key may."""
Chatting = Annotated[Visitor, _scoped("chat")]
Reading = Annotated[Visitor, _scoped("read")]
Administering = Annotated[Visitor, _scoped("admin")]
