"""`perennial threads`: the conversations that are kept; parsed only.

As perennial.py, it imports what does the work inside the commands.
"""

from pathlib import Path
from typing import Annotated

import typer

threads = typer.Typer(help="The conversations that are kept.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A thread, as `perennial threads list` names it.")]


@threads.command("list")
def threads_list(
    context: typer.Context,
    key: Annotated[str | None, typer.Option(help="Of this key only, by name or id.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most threads.")] = 50,
) -> None:
    """The threads, the one that was last spoken in first."""
    from adapt.commands import threads

    raise typer.Exit(threads.show_all(context.obj, key, limit))


@threads.command("export")
def threads_export(
    context: typer.Context,
    name: Name,
    out: Annotated[Path | None, typer.Option(help="A file for the JSON; else stdout.")] = None,
) -> None:
    """All that is kept of a thread: states, runs, answers, what was said of them."""
    from adapt.commands import threads

    raise typer.Exit(threads.export(context.obj, name, out))


@threads.command("delete")
def threads_delete(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Without a question.")] = False,
) -> None:
    """Forget a thread for ever, with its runs and answers."""
    from adapt.commands import threads

    raise typer.Exit(threads.delete(context.obj, name, yes))
