"""The learning page: the running cycle, what it gave, the line of versions, promote, roll back.

It decides nothing: what it changes is done by the actions of administration. Documents have a
module of their own. Built into the pages by agent.web.app.
"""

import asyncio
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from agent.api.auth import State
from agent.api.state import Actions, AppState
from agent.web.actions import PageActions
from agent.web.charts import Place, loss_curve, places, scales_of
from agent.web.chat import versions_held
from agent.web.frame import PageRoute, back_to, fragment, page
from agent.web.progress import cycle_row, share_done, stage_rows
from agent.web.visitors import Administering, Reading, Visitor
from store.errors import NotFoundError
from store.evidence import GateReport
from store.records import Cycle, CycleStage, Version, VersionState, digest_of
from store.trials import Trial

router = APIRouter(prefix="/learning", route_class=PageRoute, include_in_schema=False)

CYCLES_SHOWN, VERSIONS_SHOWN = 30, 60
MAY_GO_LIVE = (
    VersionState.PROMOTED, VersionState.RETIRED, VersionState.ROLLED_BACK, VersionState.CANARY,
    VersionState.REJECTED, VersionState.ABSTAINED,
)  # fmt: skip


@dataclass(frozen=True)
class LineRow:
    """A version in the drawing of the line."""

    version: Version
    place: Place
    gate: GateReport | None
    trial: Trial | None
    may_go_live: bool


def page_actions(state: AppState) -> PageActions:
    """NotFoundError where the server has none."""
    if state.pages is None:
        raise NotFoundError("this server has no learning pages", "start it with `perennial up`")
    return state.pages


def actions_of(state: AppState) -> Actions:
    """NotFoundError where the server has none."""
    if state.actions is None:
        raise NotFoundError("this server has no administration", "start it with `perennial up`")
    return state.actions


@router.get("")
def overview(request: Request, state: State, visitor: Reading) -> Response:
    """Everything at a glance."""
    return page(request, "learning.html.jinja", **_live(state, visitor) | _history(state, visitor))


@router.get("/live")
def live(state: State, visitor: Reading, seen: str = "", print: str = "") -> Response:
    """What changes while a cycle runs; tells the page when the rest has changed too.

    `seen` and `print` are what the last one said of itself. 204 where nothing has changed: a part
    that is put in anew every two seconds takes the click that is just being made.
    """
    shown = _live(state, visitor)
    html = fragment("parts/live.html.jinja", **shown)
    now = digest_of(html)
    if print == now:
        return Response(status_code=204)
    html += fragment("parts/live_now.html.jinja", live=shown["live_name"], reads=True, oob=True)
    response = HTMLResponse(html + f'<input type="hidden" id="print" name="print" value="{now}">')
    if seen and seen != shown["mark"]:
        response.headers["HX-Trigger"] = "learning-changed"
    return response


@router.get("/history")
def history(state: State, visitor: Reading) -> Response:
    """The line of versions and the cycles so far."""
    return HTMLResponse(fragment("parts/history.html.jinja", **_history(state, visitor)))


def _live(state: AppState, visitor: Visitor) -> dict[str, Any]:
    store, ours = state.store, page_actions(state)
    worker = ours.worker()
    newest = next(store.cycles.newest_first(), None)
    cycle = newest if newest and (worker["running"] or newest.ended_at) else None
    at_work = worker["running"] is not None
    rows = stage_rows(cycle, at_work=at_work) if cycle else []
    curve = loss_curve(ours.losses(cycle.number)) if cycle else None
    live_version = store.versions.live()
    name = live_version.name if live_version else ""
    return {
        "worker": worker, "at_work": at_work, "stages": rows, "curve": curve,
        "cycle": cycle_row(cycle) if cycle else None,
        "done": share_done(rows, worker["progress"]),
        "waiting": len(ours.waiting()), "held": store.reviews.count_waiting(),
        "sources": len(store.sources.list()), "live_name": name,
        "back": store.versions.before_live(), "admin": visitor.may("admin"),
        "csrf": visitor.session.token,
        # What the rest of the page depends on: when it differs, that is loaded anew.
        "mark": f"{name}/{cycle.number if cycle else 0}/{cycle.state.value if cycle else ''}",
    }  # fmt: skip


def _history(state: AppState, visitor: Visitor) -> dict[str, Any]:
    store = state.store
    newest_first = sorted(store.versions.list(), key=lambda version: -version.number)
    shown = newest_first[:VERSIONS_SHOWN]
    gates = {report.candidate: report for report in store.reports.gates()}
    trials = {trial.version: trial for trial in store.trials.list()}
    line = [
        LineRow(
            version, place, gates.get(version.name), trials.get(version.name),
            version.state in MAY_GO_LIVE,
        )
        for version, place in zip(shown, places(shown), strict=True)
    ]  # fmt: skip
    return {
        "line": line, "more_versions": len(newest_first) - len(shown),
        "lanes": 1 + max((max(row.place.lane, *row.place.through, 0) for row in line), default=0),
        "cycles": [cycle_row(c) for c in islice(store.cycles.newest_first(), CYCLES_SHOWN)],
        "admin": visitor.may("admin"), "csrf": visitor.session.token,
        "advice": page_actions(state).advice(),
    }  # fmt: skip


@router.post("/update")
async def update(state: State, visitor: Administering) -> Response:
    """Start a cycle."""
    number = (await actions_of(state).update())["cycle"]
    return back_to("/learning", f"Cycle {number} has begun.")


@router.post("/rollback")
async def roll_back(state: State, visitor: Administering) -> Response:
    """Make live again what was live before."""
    await actions_of(state).roll_back()
    return back_to("/learning", f"{state.live()} is live again.")


@router.post("/promote")
async def promote(
    state: State, visitor: Administering, version: Annotated[str, Form(max_length=64)]
) -> Response:
    """Make a version live."""
    await actions_of(state).promote(version)
    return back_to("/learning", f"{version} is live.")


@router.get("/cycles/{number}")
def cycle(number: int, request: Request, state: State, visitor: Reading) -> Response:
    """One cycle: its stages, its training, its gate report with examples."""
    found, ours = state.store.cycles.get(number), page_actions(state)
    at_work = ours.worker()["running"] == number
    gathered = found.gave(CycleStage.GATHER) or {}
    return page(
        request, "cycle.html.jinja", cycle=cycle_row(found), ended=found.ended_at,
        stages=stage_rows(found, at_work=at_work), curve=loss_curve(ours.losses(number)),
        error=found.error, refused=gathered.get("refused", []), failed=gathered.get("failed", []),
        **_gate(found, ours),
    )  # fmt: skip


def _gate(cycle: Cycle, ours: PageActions) -> dict[str, Any]:
    given = cycle.gave(CycleStage.GATE)
    gate = ours.judged(given["gate"]) if given else None
    return {"gate": gate, "scales": scales_of(gate)}


@router.get("/versions/{name}")
def version(name: str, request: Request, state: State, visitor: Reading) -> Response:
    """One version: what it is made of, what it learned from, how it was judged, how it does."""
    store, ours = state.store, page_actions(state)
    found = store.versions.get(name)
    report = store.reports.gate_of(name)
    gate = ours.judged(report.digest) if report else None
    return page(
        request, "version.html.jinja", version=found, lineage=ours.lineage(name), gate=gate,
        scales=scales_of(gate),
        trials=[trial for trial in store.trials.list() if trial.version == name],
        answers=store.episodes.count_of([name]), admin=visitor.may("admin"),
        may_go_live=found.state in MAY_GO_LIVE,
    )  # fmt: skip


@router.get("/compare")
async def compare(
    request: Request, state: State, visitor: Reading, a: str = "", b: str = "", q: str = ""
) -> Response:
    """One question to two versions, side by side."""
    held = await versions_held(state)
    live_name = await asyncio.to_thread(state.live)
    other = next((name for name in held if name != live_name), live_name)
    return page(
        request, "compare.html.jinja", versions=held, a=a if a in held else live_name,
        b=b if b in held else other, question=q[:2000],
    )  # fmt: skip
