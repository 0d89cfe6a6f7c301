"""All routes of the LangGraph protocol, put into the application by `agent.api.app`."""

from importlib.metadata import version

from fastapi import FastAPI

from agent.api.langgraph import assistants, items, runs, thread_states, threads
from agent.api.langgraph.answers import Info


def install(app: FastAPI) -> None:
    """Have `app` speak the protocol."""
    for router in (assistants.router, threads.router, thread_states.router, runs.router):
        app.include_router(router)
    app.include_router(items.router)
    app.add_api_route("/ok", ok, tags=["LangGraph server"])
    app.add_api_route("/info", info, tags=["LangGraph server"], response_model=Info)


async def ok() -> dict[str, bool]:
    """Whether the server takes requests; /health says whether it can answer them."""
    return {"ok": True}


async def info() -> dict[str, object]:
    """What this server is, for clients that ask before they begin."""
    flags = {"assistants": True, "crons": False, "langsmith": False, "strict_resume": False}
    return {"version": version("perennial"), "flags": flags}
