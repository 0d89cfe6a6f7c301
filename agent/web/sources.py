"""The sources page: where documents come from; add, test, pause, remove.

A command line that the server would run cannot be given here: whoever may start programs on the
server has its command line. Built into the pages by agent.web.app.
"""

from typing import Annotated, get_args

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from agent.api.auth import State
from agent.web.actions import NewSource
from agent.web.frame import PageRoute, back_to, fragment, page
from agent.web.learning import page_actions
from agent.web.visitors import Administering, Reading
from store.errors import UserError
from store.source_records import SourceKind

router = APIRouter(prefix="/sources", route_class=PageRoute, include_in_schema=False)


@router.get("")
def sources(request: Request, state: State, visitor: Reading) -> Response:
    """All sources, what was seen there, and a form for another one."""
    store = state.store
    counts, last = store.documents.count_by_source(), store.visits.last()
    return page(
        request, "sources.html.jinja", kinds=get_args(SourceKind), admin=visitor.may("admin"),
        sources=[(s, counts.get(s.name, 0), last.get(s.name)) for s in store.sources.list()],
        next=page_actions(state).next_visits(),
    )  # fmt: skip


@router.post("")
def add(
    state: State,
    visitor: Administering,
    name: Annotated[str, Form(max_length=64)],
    location: Annotated[str, Form(max_length=2000)] = "",
    kind: Annotated[str, Form(max_length=20)] = "",
    trust: Annotated[float, Form(ge=0.0, le=1.0)] = 1.0,
    schedule: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Remember a source."""
    location, kind = location.strip(), kind.strip()
    if kind == "mcp" and not location.startswith(("http://", "https://")):
        raise UserError(
            "an MCP server that is started by a command cannot be added here",
            "add it where the server runs: perennial source add NAME COMMAND --kind mcp",
        )
    page_actions(state).add_source(NewSource(name.strip(), location, kind, trust, schedule.strip()))
    done = back_to("/sources", f"{name.strip()} is added. Test it, or learn it with an update.")
    # The form is sent by script, so that a refusal leaves what was typed.
    done.status_code = 200
    done.headers["HX-Redirect"] = "/sources"
    return done


@router.post("/{name}/test")
async def test(name: str, state: State, visitor: Administering) -> Response:
    """What a visit would bring; nothing is taken in."""
    found = await page_actions(state).test_source(name)
    return HTMLResponse(fragment("parts/tested.html.jinja", found=found))


@router.post("/{name}/{change}")
def change(name: str, change: str, state: State, visitor: Administering) -> Response:
    """Pause, resume or remove a source."""
    if change == "remove":
        state.store.sources.remove(name)
        return back_to("/sources", f"{name} is forgotten; its documents stay.")
    if change not in ("pause", "resume"):
        raise UserError(f"{change!r} is nothing that can be done to a source")
    state.store.sources.change(name, paused=change == "pause")
    said = "is not visited any more" if change == "pause" else "is visited again"
    return back_to("/sources", f"{name} {said}.")
