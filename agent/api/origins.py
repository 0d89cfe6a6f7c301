"""Pages of other origins whose scripts may call: those of this machine, and those of the settings.

For front ends such as agent-chat-ui, which speak to the server from the browser. Chats and threads
alone: no page elsewhere gets at administration, documents, or the server's own pages. Who calls is
told by the key, never by a cookie. Wrapped around the application by `agent.api.app`.
"""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

PATHS = ("/v1/", "/assistants", "/threads", "/runs", "/store/", "/info", "/ok")
_LOCAL = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
_TOLD = ("Content-Location", "Location", "Retry-After", "X-Perennial-Version", "X-Thread-Id")


class Origins:
    """Answers a browser that asks whether such a page may call."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._asked = CORSMiddleware(
            app, allow_origins=origins, allow_origin_regex=_LOCAL, allow_methods=["*"],
            allow_headers=["*"], expose_headers=_TOLD,
        )  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        there = scope["type"] == "http" and scope["path"].startswith(PATHS)
        await (self._asked if there else self._app)(scope, receive, send)
