"""Python functions as tools: entry points of installed packages in the group `perennial.tools`.

An entry point is a function, or a tool as tools.base has it. Of a function the name of the entry
point, the docstring and the annotations are what the model is told. It runs in our process with our
rights, so that only those named in the settings are offered. Made by adapt.toolbox.
"""

import asyncio
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from store.errors import ConfigError, ToolRetry
from tools.base import CallContext, Tool, ToolSpec
from tools.schema import described, usable

GROUP = "perennial.tools"


class FunctionTool:
    """One function, plain or async, with arguments by name. What it returns is sent as text, or as
    JSON where it is none."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        """ConfigError for a function whose parameters cannot be described."""
        try:
            # Checks the arguments, then calls.
            of: Any = function
            self._checked: TypeAdapter[Any] = TypeAdapter(of)
            parameters = usable(_without_titles(self._checked.json_schema()))
        except (PydanticUserError, ValueError, TypeError, NameError) as error:
            raise ConfigError(
                f"the function {name} cannot be a tool: {str(error).splitlines()[0]}",
                "annotate its parameters with types that are JSON",
            ) from error
        self._awaited = inspect.iscoroutinefunction(function)
        said = inspect.getdoc(function)
        self.spec = ToolSpec(name, described(said, name.replace("_", " ")), parameters)

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> str:
        """Its result. ToolRetry for arguments that do not fit, and what the function raises."""
        given = json.dumps(dict(arguments))
        try:
            if self._awaited:
                value = await self._checked.validate_json(given)
            else:
                # In a thread: one that computes or waits would hold up every other run.
                value = await asyncio.to_thread(self._checked.validate_json, given)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise ToolRetry(f"parameter {place}: {first['msg']}") from error
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def tool_of(name: str, found: Any) -> Tool:
    """What an entry point of that name leads to, as a tool. ConfigError when it is none."""
    made: Any = found() if inspect.isclass(found) else found
    if isinstance(getattr(made, "spec", None), ToolSpec) and hasattr(made, "call"):
        return made
    if not inspect.isroutine(found):
        raise ConfigError(
            f"the entry point {name} is no function but {type(made).__name__}",
            "give a function with annotated parameters, or a tool with spec and call",
        )
    return FunctionTool(name, found)


def functions(
    names: Iterable[str], installed: Iterable[EntryPoint] | None = None
) -> tuple[list[Tool], dict[str, str]]:
    """The tools of the named entry points, and what is wrong with the others, by name.

    `installed` are those of the environment's packages, unless given.
    """
    there = {one.name: one for one in (installed or entry_points(group=GROUP))}
    made: list[Tool] = []
    wrong: dict[str, str] = {}
    for name in names:
        if name not in there:
            known = ", ".join(sorted(there)) or "none"
            wrong[name] = f"no installed package has it in the group {GROUP}; there are: {known}"
            continue
        try:
            made.append(tool_of(name, there[name].load()))
        except Exception as error:
            # Of a package that breaks when it is imported, the rest of the program must not.
            wrong[name] = f"{type(error).__name__}: {error}"
    return made, wrong


def _without_titles(schema: Any) -> Any:
    """The schema without the names that are made of the parameters' names: tokens that tell a
    model nothing."""
    if isinstance(schema, list):
        return [_without_titles(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    named = schema.get("properties")
    kept = {
        key: _without_titles(value)
        for key, value in schema.items()
        if key != "title" or not isinstance(value, str)
    }
    if isinstance(named, dict):
        # A parameter may be called title.
        kept["properties"] = {name: _without_titles(about) for name, about in named.items()}
    return kept
