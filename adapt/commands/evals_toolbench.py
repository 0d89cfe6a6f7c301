"""How ToolBench is played by `perennial eval run`: method, limits, format, and who answers calls.

All of it is part of what is asked: the setting and the server's replies are in each item's check,
so in the digests of items, suites and reports. Plays nothing. Called by adapt.commands.evals_run.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapt.evals.benchmarks import Case
from adapt.evals.published.stabletoolbench import cases
from adapt.evals.runs.target import Target, greet
from adapt.evals.toolbench.cache import ReplyCache
from adapt.evals.toolbench.play import SERVER
from adapt.evals.toolbench.protocol import Setting
from adapt.evals.toolbench.queries import Api
from adapt.evals.toolbench.server import ToolServer
from adapt.evals.toolbench.simulator import Simulator
from agent.engine import Engine
from agent.engine_remote import Remote
from agent.fleet import Inference
from store.errors import ConfigError
from store.records import digest_of

SUITE = "stabletoolbench"
SELF = "self"
"""The simulator that is a model of the engine under test."""
KEY = "SIMULATOR_API_KEY"
"""The simulator's own: a key of the endpoint under test is nobody else's business."""


@dataclass(frozen=True)
class Playing:
    """What the command line says of ToolBench; None where it says nothing."""

    method: str | None = None
    limits: str | None = None
    format: str | None = None
    cache: Path | None = None
    simulator: str | None = None
    simulator_model: str | None = None

    def check(self, suites: list[str]) -> None:
        """ConfigError for options that do not go together or with the suites."""
        given = [name for name, value in vars(self).items() if value is not None]
        if given and SUITE not in suites:
            option = f"--{given[0].replace('_', '-')}"
            raise ConfigError(f"{option} is about {SUITE}", f"ask {SUITE}, or leave it out")
        if self.simulator_model and not self.simulator:
            raise ConfigError("--simulator-model names a model of no simulator", "give --simulator")
        if self.simulator not in (None, SELF) and not self.simulator_model:
            raise ConfigError(
                f"nothing says which model of {self.simulator} plays the APIs",
                "give its name as --simulator-model",
            )
        self._setting()

    def recorded(self, target: Target) -> dict[str, Any]:
        """What the run folder says of it."""
        setting = self._setting()
        return {
            "method": setting.method, "limits": setting.limits, "format": setting.format,
            "cache": str(self.cache.resolve()) if self.cache else "",
            "simulator": self._simulator(target),
        }  # fmt: skip

    def loader(self, target: Target) -> Callable[[Path], Iterator[Case]]:
        """How the suite is read. NotFoundError, ConfigError for recorded replies that are none."""

        def load(folder: Path) -> Iterator[Case]:
            cache = self._cache()
            simulator = self._simulator(target)
            for case in cases(folder, self._setting()):
                server: dict[str, Any] = {"simulator": simulator} if simulator else {}
                if cache and (recorded := _recorded_for(cache, case)):
                    server["cache"] = recorded
                check = {**case.item.check, **({"server": server} if server else {})}
                yield Case(case.item.model_copy(update={"check": check}), case.gold)

        return load

    @asynccontextmanager
    async def opened(self, target: Target, engine: Inference) -> AsyncIterator[dict[str, Any]]:
        """`Asker.extras` with the server. Asks a simulator elsewhere for one token first, so that
        a wrong key or name shows at once. EngineError."""
        async with AsyncExitStack() as stack:
            simulator = None
            if named := self._simulator(target):
                if named["url"] != SELF:
                    key = os.environ.get(KEY, "")
                    timeout_s = target.settings.engine.request_timeout_s
                    elsewhere = Engine.at(named["url"], key, timeout_s)
                    engine = await stack.enter_async_context(elsewhere)
                    await greet(engine, named["model"], KEY)
                simulator = Simulator(engine, named["model"])
            yield {SERVER: ToolServer(cache=self._cache(), simulator=simulator)}

    def _setting(self) -> Setting:
        given = {"method": self.method, "limits": self.limits, "format": self.format}
        return Setting.of({name: value for name, value in given.items() if value is not None})

    def _cache(self) -> ReplyCache | None:
        if self.cache is None:
            return None
        cache = ReplyCache(self.cache)
        if next(self.cache.glob("*/*_for_*/*.json"), None) is None:
            # Without this the folder above the right one is taken for a cache that has nothing.
            raise ConfigError(
                f"--cache {self.cache} holds no recorded replies",
                "give the folder with a folder for each category: Category/tool_for_Category/",
            )
        return cache

    def _simulator(self, target: Target) -> dict[str, str] | None:
        if self.simulator is None:
            return None
        url = SELF if self.simulator == SELF else Remote.of(self.simulator).url
        return {"url": url, "model": self.simulator_model or target.model}


def _recorded_for(cache: ReplyCache, case: Case) -> str:
    """Identity of the replies that an item may get; empty where none are recorded."""
    apis = [Api(a["category"], a["tool"], a["api"]) for a in case.item.check["apis"].values()]
    found = [cache.digest(api) for api in apis]
    return digest_of(found) if any(found) else ""
