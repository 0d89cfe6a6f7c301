"""The virtual API server: who answers a call, in StableToolBench's order.

First the recorded replies, then functions of one's own (Python callables or the virtual universe),
then a model that plays the APIs, and last a reply made from the API's template. Whatever goes wrong
is a reply with a status, and says who gave it: nothing raises but a broken cache file. Called by
adapt.evals.toolbench.steps; a run names its server in `Asker.extras["tool_server"]`.
"""

import asyncio
import inspect
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from adapt.evals.toolbench.cache import Body, ReplyCache, canonical
from adapt.evals.toolbench.functions import Schema, problem_of
from adapt.evals.toolbench.protocol import STATUS_OF_ERROR, Status
from adapt.evals.toolbench.queries import Api
from adapt.evals.toolbench.simulator import Simulator
from adapt.evals.toolbench.templates import made_reply
from store.errors import EngineError, ToolFailed
from tools.virtual_api.catalogue import Catalogue
from tools.virtual_api.executor import Session

Source = Literal["cache", "executor", "simulator", "template", "protocol"]
"""Who answered; `protocol` where the call never left the run."""
Functions = Mapping[str, Callable[[dict[str, Any]], Any]]
"""Functions by name. Each gets the arguments and returns any JSON, or `{"error": ..., ...}`; it may
be async, but must then not block. What it raises is a failed call."""


@dataclass(frozen=True)
class ToolReply:
    """What came back, who gave it and how it went."""

    body: Body
    status: Status
    source: Source


@dataclass
class ToolServer:
    """Who may answer. The default has no sources but the templates, and needs nothing.

    `worlds` are called once for every query that is played, and give its functions: an end of one
    query's state must not be another's beginning.
    """

    cache: ReplyCache | None = None
    worlds: Sequence[Callable[[], Functions]] = ()
    simulator: Simulator | None = None
    timeout_s: float = 30.0
    """Longest time that one function or the simulator may take."""
    _simulated: dict[tuple[str, str], Body] = field(default_factory=dict, init=False)
    _stuck: set[str] = field(default_factory=set, init=False)

    def start(self) -> "Service":
        """The server for one query."""
        functions: dict[str, Callable[[dict[str, Any]], Any]] = {}
        for world in self.worlds:
            functions = {**world(), **functions}
        return Service(self, functions)

    async def simulate(self, api: Api, schema: Schema, arguments: dict[str, Any]) -> ToolReply:
        """The simulator's reply; the same call gets the same one for as long as the server lives.

        A simulator must be there.
        """
        assert self.simulator is not None
        key = (schema["function"]["name"] + api.tool, canonical(arguments))
        if key not in self._simulated:
            examples = self.cache.examples(api) if self.cache else {}
            try:
                async with asyncio.timeout(self.timeout_s):
                    body = await self.simulator.reply(schema, arguments, examples)
            except TimeoutError:
                return _late("simulator")
            except (EngineError, ToolFailed) as error:
                return _failed(str(error), "simulator")
            self._simulated[key] = body
        return _told(self._simulated[key], "simulator")

    async def execute(
        self, name: str, function: Callable[[dict[str, Any]], Any], arguments: dict[str, Any]
    ) -> ToolReply:
        """One function's reply. One that is stuck is not called again until it comes back."""
        if name in self._stuck:
            return _late("executor")
        try:
            async with asyncio.timeout(self.timeout_s):
                if inspect.iscoroutinefunction(function):
                    value = await function(arguments)
                else:
                    value = await self._in_thread(name, function, arguments)
        except TimeoutError:
            return _late("executor")
        except Exception as error:
            # A broken function must cost one call, never the run.
            return _failed(f"{type(error).__name__}: {error}"[:500], "executor")
        return _told(_body_of(value), "executor")

    async def _in_thread(
        self, name: str, function: Callable[[dict[str, Any]], Any], arguments: dict[str, Any]
    ) -> Any:
        """Run it in a thread of its own that dies with the process: the loop's own pool would wait
        for a stuck function when the loop closes."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()

        def settle(value: Any, error: Exception | None) -> None:
            self._stuck.discard(name)
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(value)

        def work() -> None:
            try:
                outcome = partial(settle, function(arguments), None)
            except Exception as error:
                outcome = partial(settle, None, error)
            try:
                loop.call_soon_threadsafe(outcome)
            except RuntimeError:
                # The run is over and its loop closed: nobody waits for this reply.
                pass

        threading.Thread(target=work, daemon=True, name=f"tool-{name}").start()
        try:
            return await done
        except asyncio.CancelledError:
            self._stuck.add(name)
            raise


@dataclass
class Service:
    """The server while one query is played."""

    server: ToolServer
    functions: Functions

    async def call(self, api: Api, schema: Schema, arguments: dict[str, Any]) -> ToolReply:
        """The reply to a call. ConfigError only for a broken file of recorded replies."""
        name = schema["function"]["name"]
        if self.server.cache and (body := self.server.cache.find(api, arguments)) is not None:
            return _told(body, "cache")
        if name in self.functions:
            return await self.server.execute(name, self.functions[name], dict(arguments))
        if self.server.simulator:
            return await self.server.simulate(api, schema, arguments)
        if problem := problem_of(schema, arguments):
            body = {"error": "Message error...", "response": problem}
            return ToolReply(body, Status.ERROR_FIELD, "template")
        key = f"{api.category}/{api.tool}/{api.name} {canonical(arguments)}"
        return _told({"error": "", "response": made_reply(api.template, key)}, "template")


def universe(catalogue: Catalogue) -> Callable[[], Functions]:
    """The virtual universe, or a folder of tool files read by tools.virtual_api.folder, as a world:
    each query gets a fresh session."""

    def world() -> Functions:
        session = Session(catalogue)
        return {name: partial(session.execute, name) for name in catalogue.by_function}

    return world


def _body_of(value: Any) -> Body:
    """A function's return value as a reply."""
    if isinstance(value, dict) and "error" in value:
        if "response" in value:
            return value
        return {"error": "Message error...", "response": value["error"]}
    return {"error": "", "response": value}


def _told(body: Body, source: Source) -> ToolReply:
    error = body.get("error")
    status = STATUS_OF_ERROR.get(error, Status.OK) if isinstance(error, str) else Status.OK
    return ToolReply(body, status, source)


def _late(source: Source) -> ToolReply:
    return ToolReply({"error": "Timeout error...", "response": ""}, Status.TIMEOUT, source)


def _failed(words: str, source: Source) -> ToolReply:
    return ToolReply({"error": words, "response": ""}, Status.NOT_SENT, source)


def as_text(body: Body) -> str:
    """A reply as text, whatever a function put into it."""
    try:
        return json.dumps(body, default=str)
    except (ValueError, TypeError, RecursionError) as error:
        return json.dumps(
            {"error": f"the reply is no JSON: {type(error).__name__}", "response": ""}
        )
