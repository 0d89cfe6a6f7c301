"""The HTTP application: chat, models, feedback, administration, health, pages. Built by
`create_app`.

Starts and stops nothing and owns none of what AppState holds. Served by the command line.
"""

from typing import Any

from fastapi import FastAPI, Response

from agent.api import (
    admin,
    contract,
    documents,
    errors,
    feedback,
    model_list,
    openai,
    reviews,
)
from agent.api.auth import State
from agent.api.langgraph import routes as langgraph
from agent.api.limits import BodyLimit
from agent.api.state import AppState
from agent.web import app as web
from store.errors import PerennialError


def create_app(state: AppState) -> FastAPI:
    """The application over `state`."""
    app = FastAPI(title="Perennial", docs_url=None, redoc_url=None)
    app.state.perennial = state
    errors.install(app)
    contract.install(app)
    app.add_middleware(BodyLimit)
    app.include_router(openai.router)
    app.include_router(model_list.router)
    langgraph.install(app)
    app.include_router(feedback.router)
    app.include_router(documents.router)
    app.include_router(reviews.router)
    app.include_router(admin.router)
    app.add_api_route("/health", health)
    web.install(app, state)
    return app


async def health(state: State, response: Response) -> dict[str, Any]:
    """200 when the engine answers and a version is live, else 503. Needs no key, tells no more."""
    engine = await state.engine.health()
    try:
        version: str | None = state.live()
    except PerennialError:
        version = None
    ok = engine and version is not None
    if not ok:
        response.status_code = 503
    return {"status": "ok" if ok else "unavailable", "engine": engine, "version": version}
