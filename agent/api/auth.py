"""Who may call: the bearer of the key; without a key, this machine only.

Without a key it also turns away browsers: a foreign page can reach a loopback address, directly or
through a host name that it points there. A dependency of every router but /health.
"""

import hmac
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from agent.api.errors import ApiError
from agent.api.state import AppState
from agent.config_sections import is_loopback


def app_state(request: Request) -> AppState:
    """What `create_app` was given."""
    return request.app.state.perennial


State = Annotated[AppState, Depends(app_state)]


def allowed(request: Request, state: State) -> None:
    """Raise 401 for a wrong or missing key, 403 for what comes from elsewhere without one."""
    secret = state.settings.server.api_key
    key = secret.get_secret_value() if secret else ""
    if key:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        # compare_digest: the time taken must not tell how much of a guess is right.
        if kind.lower() != "bearer" or not hmac.compare_digest(given.encode(), key.encode()):
            raise ApiError(
                401, "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'",
                code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        return
    client = request.client.host if request.client else ""
    host = request.url.hostname or ""
    origin = request.headers.get("origin")
    page = urlsplit(origin).hostname or "" if origin else host
    for place in (client, host, page):
        if not is_loopback(place):
            raise ApiError(
                403, f"{place or 'an unknown place'} may not call without a key: "
                "set PERENNIAL_SERVER__API_KEY", code="forbidden",
            )  # fmt: skip


Allowed = Depends(allowed)
