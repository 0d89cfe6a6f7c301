"""The command `perennial tools`, parsed only: what the assistant can call.

As perennial.py, it imports what does the work inside the commands.
"""

from typing import Annotated

import typer

tools = typer.Typer(help="What the assistant can call.", invoke_without_command=True)


@tools.callback()
def tools_default(context: typer.Context) -> None:
    """What the assistant can call."""
    if context.invoked_subcommand is None:
        tools_list(context)


@tools.command("list")
def tools_list(context: typer.Context) -> None:
    """All tools, where they come from, and on what terms they are called."""
    from adapt.commands import tools

    raise typer.Exit(tools.show_all(context.obj))


@tools.command("test")
def tools_test(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="A source, such as `mcp files`; else all.")
    ] = None,
) -> None:
    """Start and read every source of tools, and say what is wrong. Calls none of them."""
    from adapt.commands import tools

    raise typer.Exit(tools.test(context.obj, name))


@tools.command("call")
def tools_call(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of a tool.")],
    arguments: Annotated[str, typer.Argument(help="A JSON object.")] = "{}",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask where it must be asked.")] = False,
) -> None:
    """Make one call as the assistant would, and show what the model would read."""
    from adapt.commands import tools

    raise typer.Exit(tools.call(context.obj, name, arguments, yes=yes))
