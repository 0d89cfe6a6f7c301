"""Builds the pages into the application. Called by agent.api.app."""

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from agent.api.state import AppState
from agent.web import asking, chat, documents, evals, learning, login, sources
from agent.web.frame import HERE
from agent.web.session import Sessions


def install(app: FastAPI, state: AppState) -> None:
    """The pages, their static files, and the maker of sessions."""
    app.state.sessions = Sessions(state.store.home.run)
    for module in (login, chat, asking, documents, learning, sources, evals):
        app.include_router(module.router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
