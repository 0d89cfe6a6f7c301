"""The command line: it parses, and hands over to adapt.commands.

Everything heavy is imported inside the commands, so that `--help` is there at once. Errors become
two lines on stderr (and with --json one value on stdout) and an exit code: 2 for what the caller
can mend, 1 for everything else, 130 for Ctrl-C. With PERENNIAL_DEBUG=1 they are tracebacks.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from adapt.commands import Options
from adapt.commands.documents_group import documents
from adapt.commands.eval_group import evals
from adapt.commands.groups import cycles, gate, key, source, versions
from adapt.commands.lineage_group import lineage
from adapt.commands.threads_group import threads
from adapt.commands.tools_group import tools
from adapt.commands.weights import loki, skill
from store.errors import PerennialError, UserError

_SHARED = ("--home", "--json")


class _Anywhere(TyperGroup):
    """`--home` and `--json` mean the same to all commands, so they may follow the command too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move them to the front; what follows `--` is left alone."""
        own = args[: args.index("--")] if "--" in args else args
        front: list[str] = []
        rest: list[str] = []
        words = iter(own)
        for word in words:
            if word.partition("=")[0] not in _SHARED:
                rest.append(word)
                continue
            front.append(word)
            if word == "--home":
                front += [w for w in [next(words, None)] if w is not None]
        return super().parse_args(ctx, [*front, *rest, *args[len(own) :]])


app = typer.Typer(
    cls=_Anywhere,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="An agent that keeps learning: documents go into the weights, are tested, and go live.",
)
app.add_typer(source, name="source")
app.add_typer(versions, name="versions")
app.add_typer(cycles, name="cycles")
app.add_typer(gate, name="gate")
app.add_typer(key, name="key")
app.add_typer(documents, name="documents")
app.add_typer(threads, name="threads")
app.add_typer(tools, name="tools")
app.add_typer(lineage, name="lineage")
app.add_typer(loki, name="loki")
app.add_typer(skill, name="skill")
app.add_typer(evals, name="eval")

Model = Annotated[
    str | None, typer.Option(help="`pico`, a model directory, or a hub name.", metavar="MODEL")
]
Pinned = Annotated[str | None, typer.Option("--model", help="A version instead of the live one.")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"perennial {version('perennial')}")
        raise typer.Exit


@app.callback()
def shared(
    context: typer.Context,
    home: Annotated[
        Path | None, typer.Option(envvar="PERENNIAL_HOME", help="Directory with all state.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON value on stdout.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Options of all commands; they may stand before or after the command."""
    context.obj = Options(home, as_json)


@app.command()
def up(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    model: Model = None,
    interval: Annotated[
        float | None, typer.Option(help="Minutes between updates.", metavar="MINUTES")
    ] = None,
    cron: Annotated[str | None, typer.Option(help="Updates by cron, '0 3 * * *'.")] = None,
) -> None:
    """Serve the assistant, and update it by schedule."""
    from adapt.commands.up import up

    raise typer.Exit(up(context.obj, host, port, model, interval, cron))


@app.command()
def demo(context: typer.Context) -> None:
    """Learn new APIs and facts end to end, on real engines; the last line is the result."""
    import asyncio

    from adapt.demo import demo

    raise typer.Exit(asyncio.run(demo(context.obj.home, context.obj.as_json)))


@app.command()
def ask(context: typer.Context, question: str, model: Pinned = None) -> None:
    """Ask the assistant one question."""
    from adapt.commands.talk import ask

    raise typer.Exit(ask(context.obj, question, model))


@app.command()
def chat(context: typer.Context, model: Pinned = None) -> None:
    """Talk with the assistant, one line at a time; it remembers the conversation."""
    from adapt.commands.talk import chat

    raise typer.Exit(chat(context.obj, model))


@app.command()
def update(context: typer.Context) -> None:
    """Run one update now. Exit code 1 when nothing went live and something should have."""
    from adapt.commands.update import update

    raise typer.Exit(update(context.obj))


@app.command()
def consolidate(context: typer.Context) -> None:
    """Make whole weights of the live version, so that the rows can take in more."""
    from adapt.commands.consolidate import consolidate

    raise typer.Exit(consolidate(context.obj))


@app.command()
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
) -> None:
    """Write the whole home into one file, also while it is served."""
    from adapt.commands.backup import backup

    raise typer.Exit(backup(context.obj, file))


@app.command()
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `perennial backup` wrote.")],
) -> None:
    """Fill a new, empty --home from a backup; every digest is checked before."""
    from adapt.commands.backup import restore

    raise typer.Exit(restore(context.obj, file))


@app.command()
def bench(
    context: typer.Context,
    name: str,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Of soak (30), of agent's questions (1.7).")
    ] = None,
    engines: Annotated[int | None, typer.Option(min=1, help="Of swap, soak: engines.")] = None,
    kind: Annotated[str | None, typer.Option(help="Of swap: `adapter` or `merged`.")] = None,
    swaps: Annotated[int | None, typer.Option(min=1, help="Of swap: how many (50).")] = None,
    agents: Annotated[
        int | None, typer.Option(min=1, help="Of swap, soak: clients; of agent: streams (200).")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Of search: a file of questions.")] = None,
) -> None:
    """Run a benchmark; exit code 1 when an aim of it does not hold. A name that there is not lists
    those that there are."""
    from adapt.commands.bench import bench

    raise typer.Exit(
        bench(
            context.obj, name, minutes=minutes, engines=engines, kind=kind, swaps=swaps,
            agents=agents, data=data,
        )
    )  # fmt: skip


@app.command()
def reproduce(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="`loki`, `past`, `knowledge` or `screening`.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the results; a stopped study goes on. Unset: study-NAME."),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1, help="Runs of each: worlds of loki (5), of knowledge (3), trainings of past (3)."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="One method, or category, of its tables (again for more)."),
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(help="Of past: the folder of another vector to play (again for more)."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Of screening: the folder of the published data.")
    ] = None,
    fit: Annotated[
        bool, typer.Option("--fit", help="Of screening: make its classifier anew.")
    ] = False,
) -> None:
    """Run a study behind the defaults again: hours on two cores, with a picture of each table."""
    for option, value, study in (
        ("--also", also, "past"), ("--data", data, "screening"), ("--fit", fit, "screening"),
    ):  # fmt: skip
        # Hours of another study than was meant are lost hours.
        if value and name != study:
            raise typer.BadParameter(f"belongs to the study {study}", param_hint=option)
    if name == "screening":
        from adapt.commands.reproduce_screening import reproduce_screening

        raise typer.Exit(reproduce_screening(context.obj, data, seeds or 1, fit=fit))
    out = out or Path(f"study-{name}")
    if name == "knowledge":
        from adapt.commands.reproduce_knowledge import reproduce_knowledge

        raise typer.Exit(reproduce_knowledge(context.obj, out, seeds or 3))
    if name == "past":
        from adapt.commands.reproduce_past import reproduce_past

        raise typer.Exit(reproduce_past(context.obj, out, seeds or 3, only or [], also or []))
    from adapt.commands.reproduce import reproduce

    raise typer.Exit(reproduce(context.obj, name, out, seeds or 5, only or []))


@app.command()
def settings(
    context: typer.Context,
    key: Annotated[
        str | None, typer.Argument(help="Those that begin so, such as `engine`, with meanings.")
    ] = None,
    reference: Annotated[
        bool, typer.Option("--reference", help="All there are, as Markdown: docs/settings.md.")
    ] = False,
) -> None:
    """Show the settings of this home, and where each comes from."""
    from adapt.commands.settings import print_reference, show

    raise typer.Exit(print_reference() if reference else show(context.obj, key))


@app.command()
def doctor(context: typer.Context, model: Model = None) -> None:
    """Check this machine and this home. Exit code 1 when something is broken."""
    from adapt.commands.checks import doctor

    raise typer.Exit(doctor(context.obj, model))


def main(arguments: list[str] | None = None) -> NoReturn:
    """The command `perennial`; it always ends in SystemExit."""
    try:
        app(arguments)
    except Exception as error:
        # Broad: whatever reaches the command line ends there, as two lines and an exit code.
        if os.environ.get("PERENNIAL_DEBUG") == "1":
            raise
        _complain(error, as_json="--json" in (sys.argv[1:] if arguments is None else arguments))
        sys.exit(2 if isinstance(error, UserError) else 1)
    sys.exit(0)


def _complain(error: Exception, *, as_json: bool) -> None:
    import json

    from rich.console import Console
    from rich.markup import escape

    said, hint = f"{type(error).__name__}: {error}", "PERENNIAL_DEBUG=1 shows where"
    if isinstance(error, PerennialError):
        said, hint = error.message, error.hint
    if as_json:
        # A script that reads one value finds it here too.
        sys.stdout.write(json.dumps({"error": said, "hint": hint}) + "\n")
    console = Console(stderr=True, soft_wrap=True)
    console.print(f"[bold red]error:[/] {escape(said)}", highlight=False)
    if hint:
        console.print(f"[bold]hint:[/] {escape(hint)}", highlight=False)


if __name__ == "__main__":
    main()
