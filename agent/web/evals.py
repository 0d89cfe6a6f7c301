"""The evals page: each suite's scores over the versions, with their 95% intervals.

Built into the pages by agent.web.app.
"""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from agent.api.auth import State
from agent.web.charts import Mark, Range, range_of, trend
from agent.web.frame import PageRoute, page
from agent.web.learning import page_actions
from agent.web.visitors import Reading

router = APIRouter(prefix="/evals", route_class=PageRoute, include_in_schema=False)

SHOWN = 24
"""Versions of a chart, the newest ones."""
ABOUT = {
    "learned": "what the update's own documents say; held-out questions, new for every update",
    "relearned": "what must still be known where a line is made anew",
    "kept": "held-out questions of all earlier updates",
    "tools": "the same tasks on APIs for every version, by the agent",
    "general": "the same general abilities for every version",
}
ORDER = {name: place for place, name in enumerate(ABOUT)}


@router.get("")
def evals(request: Request, state: State, visitor: Reading) -> Response:
    """One chart for each suite."""
    scores = page_actions(state).scores(SHOWN)
    rows = scores["rows"]
    versions = list(dict.fromkeys(row["version"] for row in rows))
    states = state.store.versions.states()
    suites: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        suites.setdefault(row["suite"], []).append(row)
    charts = [
        (name, ABOUT.get(name, ""), *_chart(suites[name], versions))
        for name in sorted(suites, key=lambda suite: (ORDER.get(suite, 9), suite))
    ]
    return page(
        request, "evals.html.jinja", charts=charts, versions=versions, states=states,
        left_out=scores["versions"] - len(versions),
    )  # fmt: skip


def _chart(rows: list[dict[str, Any]], versions: list[str]) -> tuple[Range, list[Mark]]:
    shown = range_of(rows)
    return shown, trend(rows, versions, shown)
