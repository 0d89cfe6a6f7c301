"""The virtual universe's APIs as tools of the agent, and its users' worlds by thread.

Behaviour is the executor's; this only joins it to the registry. Called by the command line, which
serves the universe, and by adapt.evals, which tests in it.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from store.errors import NotFoundError, ToolRetry
from tools.base import CallContext, Tool, ToolSpec
from tools.virtual_api.catalogue import Api, Catalogue, schema_of
from tools.virtual_api.executor import Session


class Sessions:
    """One world per thread, made on first use; the longest unused go when there are too many."""

    def __init__(self, catalogue: Catalogue, limit: int = 1000) -> None:
        self._catalogue = catalogue
        self._limit = limit
        self._worlds: OrderedDict[str, Session] = OrderedDict()

    def __call__(self, thread: str) -> Session:
        """The world of that thread."""
        if thread not in self._worlds:
            self._worlds[thread] = Session(self._catalogue)
        self._worlds.move_to_end(thread)
        while len(self._worlds) > self._limit:
            self._worlds.popitem(last=False)
        return self._worlds[thread]


class VirtualTool:
    """One API of the universe."""

    def __init__(self, api: Api, session_of: Callable[[str], Session]) -> None:
        function = schema_of(api)["function"]
        self.spec = ToolSpec(function["name"], function["description"], function["parameters"])
        self._session_of = session_of

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> str:
        """The executor's reply as JSON. Raises ToolRetry with the executor's words."""
        reply = self._session_of(context.thread).execute(self.spec.name, arguments)
        if "error" in reply:
            # Faults pass, and a wrong argument can be corrected: nothing here is final.
            raise ToolRetry(reply["error"])
        return json.dumps(reply)


def virtual_tools(
    catalogue: Catalogue,
    session_of: Callable[[str], Session],
    functions: Iterable[str] | None = None,
) -> list[Tool]:
    """The APIs of the catalogue, or those named in `functions` in that order, as tools.

    `session_of` gives the world of a thread. Raises NotFoundError for an unknown function.
    """
    tools: list[Tool] = []
    for name in catalogue.by_function if functions is None else functions:
        api = catalogue.by_function.get(name)
        if api is None:
            raise NotFoundError(f"the universe has no API {name!r}", "see catalogue.by_function")
        tools.append(VirtualTool(api, session_of))
    return tools
