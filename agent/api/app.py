"""The HTTP application: chat, models, feedback, administration, health, pages. Built by
`create_app`.

Starts and stops nothing and owns none of what AppState holds. Served by the command line.
"""

from fastapi import FastAPI

from agent.api import (
    admin,
    contract,
    documents,
    errors,
    feedback,
    health,
    metrics,
    model_list,
    openai,
    reviews,
)
from agent.api.langgraph import routes as langgraph
from agent.api.limits import BodyLimit
from agent.api.origins import Origins
from agent.api.state import AppState
from agent.telemetry.http import Seen
from agent.web import app as web


def create_app(state: AppState) -> FastAPI:
    """The application over `state`."""
    app = documented()
    app.state.perennial = state
    app.add_middleware(Origins, origins=state.settings.server.origins)
    web.install(app, state)
    return app


def documented() -> FastAPI:
    """All that is in the OpenAPI document: the application without its pages and its state."""
    app = FastAPI(title="Perennial", docs_url=None, redoc_url=None)
    errors.install(app)
    contract.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(Seen)
    app.include_router(openai.router)
    app.include_router(model_list.router)
    langgraph.install(app)
    app.include_router(feedback.router)
    app.include_router(documents.router)
    app.include_router(reviews.router)
    app.include_router(admin.router)
    app.include_router(metrics.router)
    app.include_router(health.router)
    return app
