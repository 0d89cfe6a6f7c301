"""The assistant's tools, put together from the settings: what there is, and on what terms.

What needs no server is there at once; MCP servers and documents join when they are loaded, and one
that cannot be is tried again, while all others work. Calls nothing. Opened by adapt.assistant and
the command line.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from adapt.tool_sources import Loaded, Offered, ToolSource, open_sources
from agent.config_sections import Settings
from agent.config_tools import SourceSettings, TermsSettings, ToolsSettings
from store import Store
from store.errors import PerennialError
from tools.base import Permission, Terms
from tools.calculate import Calculate
from tools.functions import functions
from tools.python import Limits, RunPython
from tools.registry import Registry
from tools.search import SearchDocuments
from tools.virtual import Sessions, virtual_tools
from tools.virtual_api.catalogue import build_catalogue

UNIVERSE_SEED = 0
"""The published universe: the one that the embedded model's tasks are about."""
RETRY_S = 60.0
"""How long a source that could not be loaded is left alone."""
READY_S = 5.0
"""How long a start waits for the sources; what is not loaded by then joins later."""
_STRICT: tuple[Permission, ...] = ("allow", "confirm", "deny")


@dataclass
class State:
    """What is known of one source of tools. `problem` is why it has none now."""

    loaded: bool = False
    problem: str = ""
    dropped: dict[str, str] = field(default_factory=dict)


class Toolbox:
    """The tools as they are now. Belongs to one event loop."""

    def __init__(self, store: Store, settings: Settings, sources: Iterable[ToolSource]) -> None:
        self._settings = settings.tools
        self._sources = list(sources)
        self._own, wrong = _own(store, settings)
        self._loaded: dict[str, Loaded] = {}
        self.sources: dict[str, State] = {source.name: State() for source in self._sources}
        """By kind and name."""
        self.problems: dict[str, str] = {f"function {name}": why for name, why in wrong.items()}
        """What is wrong with single tools, by what they are."""
        self.origins: dict[str, str] = {}
        """Where each tool comes from, by its name, those that are denied included."""
        self.registry = self._put_together()
        self._tasks: list[asyncio.Task[None]] = []
        self._tried = asyncio.Event()

    def begin(self) -> None:
        """Load the sources, each on its own."""
        left = len(self._sources)

        def tried() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self._tried.set()

        if not self._sources:
            self._tried.set()
        self._tasks = [asyncio.create_task(self._keep(one, tried)) for one in self._sources]

    async def ready(self, within_s: float | None = None) -> None:
        """Wait until every source was tried, or that long."""
        try:
            async with asyncio.timeout(within_s):
                await self._tried.wait()
        except TimeoutError:
            pass  # What is late joins when it is loaded.

    async def close(self) -> None:
        """Stop loading."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def terms(self, name: str) -> Terms:
        """On what terms a tool is called."""
        return self.registry.terms(name)

    async def _keep(self, source: ToolSource, tried: Any) -> None:
        """Load one source, again and again until it works."""
        state, first = self.sources[source.name], True
        while not state.loaded:
            try:
                loaded = await source.load()
            except PerennialError as error:
                state.problem = str(error)
            except Exception as error:
                # Whatever a library makes of a broken server: the others must not suffer.
                state.problem = f"{type(error).__name__}: {error}"
            else:
                self._loaded[source.name] = loaded
                state.loaded, state.problem, state.dropped = True, "", loaded.dropped
                self.registry = self._put_together()
            if first:
                first = False
                tried()
            if not state.loaded:
                await asyncio.sleep(RETRY_S)

    def _put_together(self) -> Registry:
        """All tools that are there. Of two of one name the first stays."""
        tools: dict[str, Any] = {}
        terms: dict[str, Terms] = {}
        self.origins = {}
        for origin, offered, level in self._all():
            name = offered.tool.spec.name
            if name in tools:
                self.problems[f"{origin}: {offered.own}"] = f"there is another tool {name}"
                continue
            tools[name] = offered.tool
            terms[name] = terms_of(self._settings, name, level, offered.permission)
            self.origins[name] = origin
        return Registry(tools.values(), terms, Terms(**_usual(self._settings)))

    def _all(self) -> Iterable[tuple[str, Offered, TermsSettings | None]]:
        yield from self._own
        for source in self._sources:
            loaded = self._loaded.get(source.name)
            for offered in loaded.tools if loaded else ():
                if _wanted(source.settings, offered):
                    yield source.name, offered, source.settings


@asynccontextmanager
async def open_toolbox(
    store: Store, settings: Settings, within_s: float | None = READY_S
) -> AsyncIterator[Toolbox]:
    """The tools, their servers connected to until the block ends. It begins when every source was
    tried, or after `within_s`."""
    async with open_sources(settings) as sources:
        toolbox = Toolbox(store, settings, sources)
        toolbox.begin()
        try:
            await toolbox.ready(within_s)
            yield toolbox
        finally:
            await toolbox.close()


def terms_of(
    settings: ToolsSettings, name: str, level: TermsSettings | None, permission: Permission
) -> Terms:
    """The terms of one tool: what a rule says, else its source, else what holds for all.

    `permission` is what its kind begins with; what holds for all may only be stricter.
    """
    said = [rule for pattern, rule in settings.rules.items() if fnmatchcase(name, pattern)]
    said += [level] if level else []
    usual = _usual(settings)
    usual["permission"] = max(permission, settings.permission, key=_STRICT.index)
    return Terms(
        **{
            key: next((v for one in said if (v := getattr(one, key)) is not None), value)
            for key, value in usual.items()
        }
    )


def _usual(settings: ToolsSettings) -> dict[str, Any]:
    return {
        "permission": settings.permission, "timeout_s": settings.timeout_s,
        "max_chars": settings.max_chars,
    }  # fmt: skip


def _own(
    store: Store, settings: Settings
) -> tuple[list[tuple[str, Offered, TermsSettings | None]], dict[str, str]]:
    """What needs no server, and what is wrong with the functions that are named."""
    named = settings.tools
    made: list[tuple[str, Offered, TermsSettings | None]] = [
        ("built in", Offered(tool, tool.spec.name), None)
        for tool in (SearchDocuments(store.documents), Calculate())
    ]
    if named.python.enabled:
        p = named.python
        limits = Limits(p.cpu_s, p.memory_mib, p.file_mib, p.unconfined)
        permission: Permission = "confirm" if p.unconfined else "allow"
        made.append(("built in", Offered(RunPython(limits), "run_python", permission), p))
    found, wrong = functions(named.functions)
    made += [("function", Offered(tool, tool.spec.name), None) for tool in found]
    if settings.model == "pico" if named.universe is None else named.universe:
        catalogue = build_catalogue(UNIVERSE_SEED)
        tools = virtual_tools(catalogue, Sessions(catalogue))
        made += [("universe", Offered(tool, tool.spec.name), None) for tool in tools]
    return made, wrong


def _wanted(settings: SourceSettings, offered: Offered) -> bool:
    return not settings.only or offered.own in settings.only
