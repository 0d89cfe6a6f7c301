"""The ASGI application of a runtime: what chats, threads, pages and administration work with.

Starts nothing and serves nothing. Called by adapt.up and by benchmarks.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI

from adapt import canary
from adapt.assistant import Assistant
from adapt.consolidate import consolidate, told
from adapt.cycle import refuse_if_running
from adapt.events import silent
from adapt.posting import post
from adapt.runtime import Runtime
from adapt.schedule import Worker
from adapt.watch import Watch
from adapt.web_actions import page_actions
from adapt.withdraw import mark, rebuild_due
from agent.api.app import create_app
from agent.api.errors import api_error
from agent.api.langgraph.live import RunBook
from agent.api.state import Actions, AppState, Report
from agent.api.usage import Usage
from store.errors import EngineError, StateError


def application(
    runtime: Runtime, assistant: Assistant, worker: Worker, own_key: str = "",
    runs: RunBook | None = None,
) -> Any:  # fmt: skip
    """The ASGI application: chat, models and administration, behind a wait for the engine.

    Whoever gives a book of `runs` closes it in the end.
    """
    server = runtime.settings.server
    state = AppState(
        agent=assistant.agent,
        store=runtime.store,
        engine=runtime.engine,
        settings=runtime.settings,
        registry=lambda _: assistant.registry,
        live=runtime.live,
        route=lambda thread: canary.route(runtime, thread),
        rated=assistant.watch.rated,
        embedder=assistant.embedder,
        post=lambda source, given: post(runtime.store, runtime.settings, source, given),
        actions=actions(runtime, worker, assistant.watch),
        pages=page_actions(runtime, worker),
        own_key=own_key,
        waits=lambda: _waits(runtime),
        passage=lambda: _passage(runtime),
        runs=runs or RunBook(),
        usage=Usage(server.rate_per_minute, server.concurrent),
    )
    return _Waiting(create_app(state), runtime)


def _waits(runtime: Runtime) -> str:
    """Why requests are held back now; empty when they are not."""
    if not runtime.swap.door.is_open:
        return "weights are being replaced"
    if not runtime.engine.ready:
        faults = [member.fault for member in runtime.engine.members if member.fault]
        given_up = faults and len(faults) == len(runtime.engine.members)
        return "no engine starts any more" if given_up else "the engine is starting"
    return ""


def actions(runtime: Runtime, worker: Worker, watch: Watch) -> Actions:
    """What /admin can do."""

    async def status() -> Report:
        return {
            "live": runtime.live(),
            "engine": await runtime.engine.health(),
            "engine_restarts": runtime.engines.restarts,
            "engines": [member.told() for member in runtime.engine.members],
            "models": await runtime.engine.models(),
            "pid": os.getpid(),
            "trials": watch.report(),
        } | worker.report()

    async def update() -> Report:
        return {"cycle": worker.begin()}

    async def roll_back() -> Report:
        return await canary.take_back(runtime)

    async def promote(name: str) -> Report:
        # A cycle compares with what was live when it began; going back stays possible always.
        refuse_if_running(runtime)
        return asdict(await canary.make_live(runtime, name))

    async def verify(name: str) -> Report:
        found = await runtime.swap.verify(runtime.store.versions.get(name))
        return {"probe_difference": found.max_abs_diff if found else None}

    async def consolidated() -> Report:
        return told(await consolidate(runtime, silent))

    async def withdraw(digests: list[str]) -> Report:
        marked = await asyncio.to_thread(mark, runtime.store, digests)
        said: Report = {"withdrawn": marked, "cycle": None, "waits": ""}
        if await asyncio.to_thread(rebuild_due, runtime.store):
            try:
                said["cycle"] = worker.begin()
            except StateError as error:
                # Withdrawn all the same: the next update makes the line anew.
                said["waits"] = error.message
        return said

    return Actions(status, update, roll_back, promote, verify, consolidated, withdraw)


class _Waiting:
    """Holds chats back while no engine is up, or while weights are replaced; then 503."""

    def __init__(self, app: FastAPI, runtime: Runtime) -> None:
        self._app = app
        self._runtime = runtime

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        async with contextlib.AsyncExitStack() as inside:
            try:
                await inside.enter_async_context(_passage(self._runtime))
            except EngineError as error:
                await api_error(error).response()(scope, receive, send)
                return
            await self._app(scope, receive, send)


@asynccontextmanager
async def _passage(runtime: Runtime) -> AsyncIterator[None]:
    """Wait until an engine is up and no weights are being replaced, which then wait in turn."""
    async with runtime.swap.door.passed():
        await runtime.engine.wait_ready()
        yield
