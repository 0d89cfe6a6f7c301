"""Bodies that are too large are refused, before they are held in memory.

Counts bytes and looks at nothing. Wrapped around the application by `agent.api.app`.
"""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.api.errors import ApiError

MAX_BODY = 16 << 20
"""Most bytes of one body; more documents than that are posted in several requests."""


class BodyLimit:
    """413 for what says that it is larger, or turns out to be."""

    def __init__(self, app: ASGIApp, most: int = MAX_BODY) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if said.isdigit() and int(said) > self._most:
            refused = ApiError(413, self._words, code="body_too_large")
            await refused.response()(scope, receive, send)
            return
        got = 0

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > self._most:
                # Not ApiError: FastAPI lets its own exceptions alone pass while it reads a body.
                raise HTTPException(413, self._words)
            return message

        await self._app(scope, counted, send)

    @property
    def _words(self) -> str:
        return f"the body has more than {self._most} bytes; send less at once"
