"""Logging in and out: a key is typed once, and the browser keeps a session.

Built into the pages by agent.web.app.
"""

import hmac
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from agent.api.auth import State
from agent.api.errors import ApiError
from agent.web.frame import PageRoute, own_path, page, set_session
from agent.web.session import ENVIRONMENT
from agent.web.visitors import cookie_name, fixed_key, refuse_forged, sessions_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/login")
def form(request: Request, next: str = "/") -> Response:
    """Where a key is typed."""
    session = sessions_of(request).begin()
    request.state.new_session = session
    return page(request, "login.html.jinja", next=own_path(next), token=session.token, failed=False)


@router.post("/login")
async def login(
    request: Request,
    state: State,
    key: Annotated[str, Form(max_length=500)],
    next: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    """Begin a session. The key is not kept."""
    sessions = sessions_of(request)
    before = sessions.read(request.cookies.get(cookie_name(request)))
    if before is None:
        raise ApiError(403, "this browser keeps no cookies; allow them for this address")
    await refuse_forged(request, before)
    given, fixed = key.strip(), fixed_key(state)
    if fixed and hmac.compare_digest(given.encode(), fixed.encode()):
        session = sessions.begin(ENVIRONMENT, proves=fixed)
    elif found := state.store.keys.find(given):
        session = sessions.begin(found.id)
    else:
        again = sessions.begin()
        request.state.new_session = again
        return page(
            request, "login.html.jinja", 401, next=own_path(next), token=again.token, failed=True
        )
    response = RedirectResponse(own_path(next), 303)
    set_session(request, response, sessions.cookie(session))
    return response


@router.post("/logout")
async def logout(request: Request) -> Response:
    """End this browser's session."""
    before = sessions_of(request).read(request.cookies.get(cookie_name(request)))
    if before is not None:
        await refuse_forged(request, before)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(cookie_name(request), path="/")
    return response
