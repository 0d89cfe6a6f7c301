"""Whom an evaluation asks: a version of a home, a model alone, or an endpoint that is not ours.

`choose` knows the name of what will be asked before any engine runs, so that a finished run is
shown at once; `Target.opened` starts or finds the engine. Called by `perennial eval run`.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from adapt.base import find_model
from adapt.running import find_running
from adapt.runtime import open_runtime
from agent.config import Settings, home_of
from agent.engine import Engine
from agent.engine_remote import KEY_VARIABLE, Remote
from agent.fleet import Fleet, Inference
from agent.fleet_member import Member
from agent.serve import EngineProcess, StartProgress
from store import Store
from store.errors import ConfigError, EngineRefused, EngineUnavailable, NotFoundError

Starting = Callable[[StartProgress], None]


@dataclass(frozen=True)
class Target:
    """What is asked, by the name that its engine has for it."""

    source: Literal["version", "model", "endpoint"]
    model: str
    settings: Settings
    shown: str = ""
    """What a person calls it, where that differs."""
    endpoint: str = ""
    beside: str = ""
    """A second version that its engine must hold as well; empty for none."""

    @property
    def names(self) -> tuple[str, ...]:
        """What its engine must hold."""
        return (self.model, self.beside) if self.beside else (self.model,)

    @asynccontextmanager
    async def opened(self, starting: Starting) -> AsyncIterator[Inference]:
        """Its engine until the block ends."""
        opener = {"version": _of_home, "model": _alone, "endpoint": _elsewhere}[self.source]
        async with asynccontextmanager(opener)(self, starting) as engine:
            yield engine


def choose(
    settings: Settings, version: str | None, model: str | None, endpoint: str | None
) -> Target:
    """The live version of the home unless something else is named.

    `model` is of the endpoint where there is one, else an own model without anything learned.
    NotFoundError for a version that there is not, ConfigError for options that do not go together.
    """
    if version is not None and (model or endpoint):
        other = "--endpoint" if endpoint else "--model"
        raise ConfigError(f"--version and {other} name two things to ask", "leave one of them out")
    if endpoint is not None:
        if model is None:
            raise ConfigError(
                f"nothing says which model of {endpoint} to ask", "give its name as --model"
            )
        return Target("endpoint", model, settings, endpoint=Remote.of(endpoint).url)
    if model is not None:
        base = find_model(model)
        return Target("model", base.version_name, settings, shown=base.path.name)
    return Target("version", _version_name(settings, version), settings)


def _version_name(settings: Settings, version: str | None) -> str:
    """The version, or the live one; the base where there is no home yet."""
    home = home_of(settings)
    if not home.exists():
        if version is not None:
            raise NotFoundError(f"there is no home at {home.path}", "give --home, or no --version")
        return find_model(settings.model).version_name
    with Store.open(home) as store:
        if version is not None:
            return store.versions.get(version).name
        live = store.versions.live()
        return live.name if live else find_model(settings.model).version_name


async def _of_home(target: Target, starting: Starting) -> AsyncIterator[Inference]:
    """The engine of the running server, or of a runtime opened for it."""
    settings = target.settings
    running = find_running(settings)
    if running is None:
        async with open_runtime(settings, starting) as runtime:
            for name in target.names:
                await runtime.swap.load(runtime.store.versions.get(name))
            yield runtime.engine
        return
    timeout_s = settings.engine.request_timeout_s
    fleet = Fleet(Member.of(told, timeout_s) for told in running.engines)
    try:
        held = await fleet.models()
        if missing := [name for name in target.names if name not in held]:
            raise NotFoundError(
                f"the running server does not hold {missing[0]}", "stop it, and run this again"
            )
        yield fleet
    finally:
        await fleet.close()


async def _alone(target: Target, starting: Starting) -> AsyncIterator[Inference]:
    """An engine on the model alone: no home, so that nothing learned can be in the way."""
    settings = target.settings
    with tempfile.TemporaryDirectory(prefix="perennial-eval-") as folder:
        process = EngineProcess(
            find_model(settings.model).path,
            served_name=target.model,
            run_dir=Path(folder) / "run",
            log=Path(folder) / "engine.log",
            settings=settings.engine,
        )
        try:
            process.start()
            await process.wait_healthy(starting)
            timeout_s = settings.engine.request_timeout_s
            async with Engine(process.socket, timeout_s=timeout_s) as engine:
                yield engine
        finally:
            await asyncio.to_thread(process.stop)


async def _elsewhere(target: Target, starting: Starting) -> AsyncIterator[Inference]:
    """The endpoint, after one token of it: a wrong key or name shows before a run begins."""
    key = os.environ.get(KEY_VARIABLE, "")
    timeout_s = target.settings.engine.request_timeout_s
    async with Engine.at(target.endpoint, key, timeout_s) as engine:
        await greet(engine, target.model)
        yield engine


async def greet(engine: Inference, model: str, key_variable: str = KEY_VARIABLE) -> None:
    """Ask an endpoint for one token. EngineUnavailable, and EngineRefused with the way out."""
    try:
        hello = [{"role": "user", "content": "Hello"}]
        await engine.chat(model, hello, max_tokens=1, temperature=0.0)
    except EngineRefused as error:
        hint = error.hint.replace(KEY_VARIABLE, key_variable) if error.hint else error.hint
        if error.status == 404:
            hint = await _models_of(engine) or hint
        raise EngineRefused(error.message, hint, error.status) from error


async def _models_of(engine: Inference) -> str:
    """What the endpoint has instead; nothing where it does not tell."""
    try:
        names = await engine.models()
    except (EngineRefused, EngineUnavailable):
        return ""
    more = ", ..." if len(names) > 12 else ""
    return f"it has: {', '.join(names[:12])}{more}"
