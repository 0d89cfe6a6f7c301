"""How a page is made and sent: templates, the frame around each, errors as pages, headers.

Everything that a template prints is escaped, and no text can turn or hide a line. A page runs
nothing but our own files. Called by the pages' routers, whose routes are of class `PageRoute`.
"""

import logging
import re
from collections.abc import Callable, Coroutine
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException

from agent.api.errors import ApiError, api_error
from agent.web import words
from agent.web.session import LASTS_S
from agent.web.visitors import cookie_name, sessions_of
from store.errors import PerennialError
from store.records import digest_of

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}  # fmt: skip
NOTICE = "perennial_notice"
"""Cookie with what the next page has to say once."""
THEMES = ("dark", "light")


@cache
def environment() -> Environment:
    """The templates, with escaping and our filters."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=words.shown, auto_reload=False,
    )  # fmt: skip
    made.filters |= words.FILTERS
    made.globals["asset"] = asset
    for name in made.list_templates():
        # All at once: a newer package put under a running server would mix its templates in.
        made.get_template(name)
    return made


@cache
def asset(name: str) -> str:
    """The address of a static file, another one when it has changed."""
    return f"/static/{name}?v={digest_of((HERE / 'static' / name).read_bytes())[:10]}"


def fragment(name: str, **context: Any) -> str:
    """A template without the frame."""
    return environment().get_template(name).render(**context)


def page(request: Request, name: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A whole page."""
    state, visitor = request.app.state.perennial, getattr(request.state, "visitor", None)
    try:
        live = state.live()
    except PerennialError:
        live = None
    theme = request.cookies.get("perennial_theme")
    kind, _, notice = unquote(request.cookies.get(NOTICE, "")).partition(":")
    frame = {
        "visitor": visitor, "csrf": visitor.session.token if visitor else "", "live": live,
        "theme": theme if theme in THEMES else "", "path": request.url.path,
        "notice": notice, "notice_kind": "bad" if kind == "bad" else "good",
    }  # fmt: skip
    response = HTMLResponse(fragment(name, **(context | frame)), status)
    if notice:
        response.delete_cookie(NOTICE, path="/")
    return response


def back_to(path: str, said: str, *, kind: str = "good") -> Response:
    """What follows a form: another page, which says once what came of it."""
    response = RedirectResponse(path, 303)
    response.set_cookie(
        NOTICE, quote(f"{kind}:{said}"[:1500]), max_age=60, httponly=True, samesite="strict"
    )
    return response


class PageRoute(APIRoute):
    """A route whose failures are pages that say the way out, and whose answers have our headers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler with both put around it."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                response = await handle(request)
            except (ApiError, PerennialError, RequestValidationError, HTTPException) as error:
                response = _failed(request, error)
            except Exception as error:
                # A visitor cannot read a server's log, nor JSON in place of a page.
                log.exception("a page failed: %s", request.url.path)
                words = f"the server failed: {type(error).__name__}; its log has the rest"
                response = _failed(request, ApiError(500, words, kind="server_error"))
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            if session := getattr(request.state, "new_session", None):
                set_session(request, response, sessions_of(request).cookie(session))
            return response

        return guarded


def set_session(request: Request, response: Response, cookie: str) -> None:
    """Have the browser keep a session, for no script to read and no other site to send."""
    response.set_cookie(
        cookie_name(request), cookie, max_age=LASTS_S, httponly=True, samesite="strict",
        secure=request.url.scheme == "https",
    )  # fmt: skip


def _failed(request: Request, error: Exception) -> Response:
    """The failure as whoever asked can show it: a script, a part of a page, a form, a page."""
    status, said, way_out = _told(error)
    if request.headers.get("accept", "").startswith("application/"):
        return JSONResponse({"message": said, "way_out": way_out}, status)
    if status == 401:
        to = f"/login?{urlencode({'next': _place(request)})}"
        if "hx-request" in request.headers:
            return Response(status_code=200, headers={"HX-Redirect": to})
        return RedirectResponse(to, 303)
    if "hx-request" in request.headers:
        return HTMLResponse(fragment("parts/notice.html.jinja", said=said, way_out=way_out), status)
    if request.method == "POST" and (came := _own(request, request.headers.get("referer"))):
        return back_to(came, f"{said}. {way_out}" if way_out else said, kind="bad")
    return page(request, "error.html.jinja", status, code=status, said=said, way_out=way_out)


def _told(error: Exception) -> tuple[int, str, str]:
    """Status, what went wrong, the way out."""
    if isinstance(error, PerennialError):
        return api_error(error).status, error.message, error.hint
    if isinstance(error, ApiError):
        said, _, way_out = error.body["error"]["message"].partition("; ")
        return error.status, said, way_out
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        field = first["loc"][-1] if first["loc"] else "the form"
        return 400, f"{field}: {str(first['msg']).removeprefix('Value error, ')}", ""
    assert isinstance(error, HTTPException), error
    return error.status_code, str(error.detail), ""


def _place(request: Request) -> str:
    """Where the visitor wanted to be, for after the login."""
    if request.method == "GET" and "hx-request" not in request.headers:
        return request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return _own(request, request.headers.get("referer")) or "/"


def _own(request: Request, url: str | None) -> str | None:
    """Path and query of an address of ours; None for any other."""
    parts = urlsplit(url or "")
    if parts.netloc != request.headers.get("host"):
        return None
    return own_path(parts.path + (f"?{parts.query}" if parts.query else ""))


def own_path(path: str) -> str:
    """The path where it is one of this server, else its first page: a link that leads elsewhere
    after a login is a trap."""
    return path if re.fullmatch(r"/(?![/\\])[^\\\x00-\x20]*", path) else "/"
