"""The commands of several words: source, cycles, versions and loki, parsed only.

As perennial.py, it imports what does the work inside the commands.
"""

from pathlib import Path
from typing import Annotated

import typer

source = typer.Typer(help="Where documents come from.", no_args_is_help=True)
versions = typer.Typer(help="What users talk to, and what was tried.", invoke_without_command=True)
cycles = typer.Typer(help="The updates so far.", invoke_without_command=True)
loki = typer.Typer(help="Which rows of a model matter least.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of a version.")]


@source.command("add")
def source_add(
    context: typer.Context,
    name: str,
    folder: Path,
    trust: Annotated[float, typer.Option(min=0.0, max=1.0, help="Trust in what it says.")] = 1.0,
) -> None:
    """Learn from a folder of Markdown, text and API JSON files."""
    from adapt.commands import sources

    raise typer.Exit(sources.add(context.obj, name, folder, trust))


@source.command("list")
def source_list(context: typer.Context) -> None:
    """All sources."""
    from adapt.commands import sources

    raise typer.Exit(sources.show_all(context.obj))


@source.command("remove")
def source_remove(context: typer.Context, name: str) -> None:
    """Forget a source. Documents that were read from it stay."""
    from adapt.commands import sources

    raise typer.Exit(sources.remove(context.obj, name))


@cycles.callback()
def cycles_default(context: typer.Context) -> None:
    """The updates so far."""
    if context.invoked_subcommand is None:
        cycles_list(context)


@cycles.command("list")
def cycles_list(context: typer.Context) -> None:
    """All updates with their outcome."""
    from adapt.commands import history

    raise typer.Exit(history.list_cycles(context.obj))


@cycles.command("show")
def cycles_show(context: typer.Context, number: int) -> None:
    """One update, stage by stage."""
    from adapt.commands import history

    raise typer.Exit(history.show_cycle(context.obj, number))


@versions.callback()
def versions_default(context: typer.Context) -> None:
    """What users talk to, and what was tried."""
    if context.invoked_subcommand is None:
        versions_list(context)


@versions.command("list")
def versions_list(context: typer.Context) -> None:
    """All versions with their state."""
    from adapt.commands import history

    raise typer.Exit(history.list_versions(context.obj))


@versions.command("show")
def versions_show(context: typer.Context, name: Name) -> None:
    """Where a version comes from, and the evidence for it."""
    from adapt.commands import history

    raise typer.Exit(history.show_version(context.obj, name))


@versions.command("verify")
def versions_verify(context: typer.Context, name: Name) -> None:
    """Compare a version's bytes, and what the engine answers, with the record."""
    from adapt.commands import swaps

    raise typer.Exit(swaps.verify(context.obj, name))


@versions.command("promote")
def versions_promote(context: typer.Context, name: Name) -> None:
    """Make a version live, whatever the gate said of it."""
    from adapt.commands import swaps

    raise typer.Exit(swaps.promote(context.obj, name))


@versions.command("rollback")
def versions_rollback(context: typer.Context) -> None:
    """Go back to the version that was live before."""
    from adapt.commands import swaps

    raise typer.Exit(swaps.roll_back(context.obj))


@loki.command("attribute")
def loki_attribute(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for the result; a stopped run goes on there.")],
    model: Annotated[str | None, typer.Option(help="`pico`, a directory, or a hub name.")] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(
            help="JSON lines of conversations, prompts or MMLU questions.", metavar="FILE"
        ),
    ] = None,
    definition: Annotated[
        str, typer.Option(help="`release`, `paper` or `captum`.", metavar="NAME")
    ] = "release",
    quota: Annotated[float | None, typer.Option(help="Percent of rows to count.")] = None,
    prompts: Annotated[int, typer.Option(min=1, help="Prompts to score on (MMLU: all).")] = 300,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that score.")] = 1,
) -> None:
    """Score the rows of every down_proj over a corpus."""
    from adapt.commands import loki as body

    given = {"definition": definition, "quota": quota, "prompts": prompts, "seed": seed,
             "workers": workers}  # fmt: skip
    raise typer.Exit(body.attribute(context.obj, out, model, corpus, given))


Found = Annotated[Path, typer.Argument(help="What `loki attribute` wrote: its folder or file.")]


@loki.command("select")
def loki_select(
    context: typer.Context,
    source: Found,
    out: Annotated[Path, typer.Option(help="File for the mask.")],
    rule: Annotated[
        str,
        typer.Option(
            help="lowest, highest, global-lowest, global-highest, magnitude or random.",
            metavar="RULE",
        ),
    ] = "lowest",
    quota: Annotated[float | None, typer.Option(help="Percent of all rows.")] = None,
    rows: Annotated[int | None, typer.Option(help="Rows per layer instead.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of `random`.")] = 0,
    base: Annotated[str | None, typer.Option(help="Digest of the base model.")] = None,
) -> None:
    """Choose the rows that may move."""
    from adapt.commands import loki as body

    raise typer.Exit(body.select_rows(context.obj, source, out, rule, quota, rows, seed, base))


@loki.command("inspect")
def loki_inspect(
    context: typer.Context,
    source: Found,
    mask: Annotated[Path | None, typer.Option(help="Another mask than the one beside it.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write a heat map as a picture.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a heat map as a page.")] = None,
) -> None:
    """Show what each layer contributes, and which rows were chosen."""
    from adapt.commands import loki as body

    raise typer.Exit(body.inspect(context.obj, source, mask, png, html))
