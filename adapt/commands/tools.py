"""`perennial tools`: what the assistant can call, whether it can be reached, and one call by hand.

Starts what the settings name, and no engine.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from adapt.commands import Options
from adapt.show import table
from adapt.toolbox import Toolbox, open_toolbox
from store.errors import NotFoundError, PerennialError, UserError
from tools.base import CallContext
from tools.registry import arguments_of

Result = TypeVar("Result")
SHOWN = 60
"""Characters of a description that a person is shown; --json has all."""
THREAD = "command line"
"""The thread of calls by hand: tools with state keep one for it."""


def show_all(options: Options) -> int:
    """List the tools with their terms, and below them what is wrong."""

    async def look(toolbox: Toolbox) -> tuple[list[dict[str, Any]], dict[str, str]]:
        return _rows(toolbox), _wrong(toolbox)

    rows, wrong = _with_tools(options, look)
    short = [row | {"description": row["description"][:SHOWN]} for row in rows]
    shown = table(short, "name", "from", "permission", "timeout_s", "description")
    options.put({"tools": rows, "problems": wrong}, _below(shown, wrong))
    return 0


def test(options: Options, name: str | None) -> int:
    """Say of each source whether it was read, and how many tools it has. 1 when one was not."""

    async def look(toolbox: Toolbox) -> list[dict[str, Any]]:
        origins = list(toolbox.origins.values())
        rows = [
            {
                "source": source, "tools": origins.count(source), "problem": state.problem,
                "left_out": state.dropped,
            }
            for source, state in toolbox.sources.items()
        ]  # fmt: skip
        for what, problem in toolbox.problems.items():
            rows.append({"source": what, "tools": 0, "problem": problem, "left_out": {}})
        if "run_python" in toolbox.origins:
            rows.append(await _python(toolbox))
        return rows

    rows = _with_tools(options, look)
    if name is not None:
        found = [row for row in rows if row["source"] == name]
        if not found:
            known = ", ".join(row["source"] for row in rows) or "none"
            raise NotFoundError(f"there is no source of tools {name!r}", f"there are: {known}")
        rows = found
    shown = [row | {"left_out": len(row["left_out"])} for row in rows]
    none = "no sources of tools; docs/tools.md says how they are named in perennial.toml"
    columns = ("source", "tools", "left_out", "problem")
    options.put(rows, table(shown, *columns) if rows else none)
    return 1 if any(row["problem"] for row in rows) else 0


def call(options: Options, name: str, arguments: str, *, yes: bool) -> int:
    """Make one call. 1 when it failed. UserError where it must be asked about and cannot be."""
    if isinstance(read := arguments_of(arguments), str):
        raise UserError(
            f"the arguments {read}", """give a JSON object, such as '{"query": "tea"}'"""
        )

    async def make(toolbox: Toolbox) -> Any:
        toolbox.registry.get(name)
        asked = toolbox.terms(name).permission == "confirm"
        confirmed = asked and (yes or _said_yes(name, arguments))
        if asked and not confirmed:
            raise UserError(f"{name} was not called: nobody has confirmed it", "give --yes")
        context = CallContext(THREAD, confirmed=confirmed)
        return await toolbox.registry.call(name, arguments, context)

    result = _with_tools(options, make)
    options.put({"ok": result.ok, "text": result.text}, _plain(result.text))
    return 0 if result.ok else 1


def _with_tools(options: Options, work: Callable[[Toolbox], Awaitable[Result]]) -> Result:
    settings = options.settings()

    async def run() -> Result:
        with options.read_store() as store:
            async with open_toolbox(store, settings, within_s=None) as toolbox:
                return await work(toolbox)

    return asyncio.run(run())


async def _python(toolbox: Toolbox) -> dict[str, Any]:
    """Whether code runs, and confined."""
    problem = ""
    try:
        await toolbox.registry.get("run_python").call({"code": "1"}, CallContext(THREAD))
    except PerennialError as error:
        problem = str(error)
    return {"source": "run_python", "tools": 1, "problem": problem, "left_out": {}}


def _rows(toolbox: Toolbox) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    specs = {spec.name: spec for spec in toolbox.registry.specs()}
    for name, origin in toolbox.origins.items():
        terms = toolbox.terms(name)
        row = {
            "name": name, "from": origin, "permission": terms.permission,
            "timeout_s": terms.timeout_s, "max_chars": terms.max_chars,
        }  # fmt: skip
        if name in specs:
            row |= {"description": specs[name].description, "parameters": specs[name].parameters}
        else:
            row |= {"description": "(not shown to the model)", "parameters": None}
        rows.append(row)
    return rows


def _wrong(toolbox: Toolbox) -> dict[str, str]:
    wrong = {name: state.problem for name, state in toolbox.sources.items() if state.problem}
    for name, state in toolbox.sources.items():
        wrong |= {f"{name}: {tool}": why for tool, why in state.dropped.items()}
    return wrong | toolbox.problems


def _below(shown: Any, wrong: dict[str, str]) -> Any:
    from rich.console import Group
    from rich.text import Text

    return Group(shown, *(Text(f"{what}: {why}") for what, why in wrong.items()))


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text)


def _said_yes(name: str, arguments: str) -> bool:
    import typer

    if not sys.stdin.isatty():
        return False
    return typer.confirm(f"call {name} with {arguments}?", err=True)
