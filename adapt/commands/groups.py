"""The commands on a home of several words: source, cycles, versions and gate, parsed only.

As perennial.py, it imports what does the work inside the commands.
"""

from pathlib import Path
from typing import Annotated

import typer

source = typer.Typer(help="Where documents come from.", no_args_is_help=True)
versions = typer.Typer(help="What users talk to, and what was tried.", invoke_without_command=True)
cycles = typer.Typer(help="The updates so far.", invoke_without_command=True)
gate = typer.Typer(help="What decides whether a candidate goes live.", no_args_is_help=True)
key = typer.Typer(help="Who may call the assistant.", invoke_without_command=True)

Name = Annotated[str, typer.Argument(help="Name of a version.")]


@source.command("add")
def source_add(
    context: typer.Context,
    name: str,
    location: Annotated[
        str | None, typer.Argument(help="A folder, a file, a URL, or a command line.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="folder, feed, pages, openapi, mcp, toolbench, git, posted or episodes; "
            "told from the location where that is clear."
        ),
    ] = None,
    trust: Annotated[float, typer.Option(min=0.0, max=1.0, help="Trust in what it says.")] = 1.0,
    schedule: Annotated[
        str | None,
        typer.Option(help="When it is visited, by cron; else at every update.", metavar="CRON"),
    ] = None,
    max_documents: Annotated[
        int | None, typer.Option(min=1, help="Most new documents of one visit (10,000).")
    ] = None,
    max_bytes: Annotated[
        int | None, typer.Option(min=1, help="Most that one visit reads (1 GiB).")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="What its kind alone knows (again for more).", metavar="NAME=VALUE"),
    ] = None,
) -> None:
    """Learn from a place: docs/sources.md says what each kind reads."""
    from adapt.commands import sources

    raise typer.Exit(
        sources.add(
            context.obj, name, location, kind, trust=trust, schedule=schedule,
            max_documents=max_documents, max_bytes=max_bytes, given=option or [],
        )
    )  # fmt: skip


@source.command("list")
def source_list(context: typer.Context) -> None:
    """All sources."""
    from adapt.commands import sources

    raise typer.Exit(sources.show_all(context.obj))


@source.command("test")
def source_test(context: typer.Context, name: str) -> None:
    """What a visit would bring; nothing is taken in."""
    from adapt.commands import sources

    raise typer.Exit(sources.test(context.obj, name))


@source.command("pause")
def source_pause(context: typer.Context, name: str) -> None:
    """Visit a source no more."""
    from adapt.commands import sources

    raise typer.Exit(sources.pause(context.obj, name, paused=True))


@source.command("resume")
def source_resume(context: typer.Context, name: str) -> None:
    """Visit a source again."""
    from adapt.commands import sources

    raise typer.Exit(sources.pause(context.obj, name, paused=False))


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


@versions.command("prune")
def versions_prune(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
) -> None:
    """Remove old versions' weights over the budget, and what ended updates left behind."""
    from adapt.commands import prune

    raise typer.Exit(prune.prune(context.obj, dry_run))


@gate.command("show")
def gate_show(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="A version; the last judged if left out.")
    ] = None,
) -> None:
    """The verdict on a candidate, in words and in full."""
    from adapt.commands import gates

    raise typer.Exit(gates.show(context.obj, name))


@gate.command("calibrate")
def gate_calibrate(
    context: typer.Context,
    runs: Annotated[int, typer.Option(min=100, help="Simulated updates of each kind.")] = 10_000,
    years: Annotated[int, typer.Option(min=1, help="Simulated years of nightly updates.")] = 200,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Also from the last judged candidate's answers.")
    ] = False,
    png: Annotated[Path | None, typer.Option(help="Write the operating curve.")] = None,
) -> None:
    """How often the gate errs, on updates whose effect is known."""
    from adapt.commands import gates

    raise typer.Exit(gates.calibrate(context.obj, runs, years, seed, recorded, png))


@key.callback()
def key_default(context: typer.Context) -> None:
    """Who may call the assistant."""
    if context.invoked_subcommand is None:
        key_list(context)


@key.command("create")
def key_create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    scopes: Annotated[
        str, typer.Option(help="Of chat, read and admin; several with commas.")
    ] = "chat",
    days: Annotated[int | None, typer.Option(min=1, help="After which it ends.")] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="Most requests in a minute.")] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, help="Most requests at once.")] = None,
) -> None:
    """Make a key; it is shown once. From then on every caller needs one."""
    from adapt.commands import keys

    raise typer.Exit(keys.create(context.obj, name, scopes, days, rate, concurrent))


@key.command("list")
def key_list(context: typer.Context) -> None:
    """All keys, without their secrets."""
    from adapt.commands import keys

    raise typer.Exit(keys.show_all(context.obj))


@key.command("revoke")
def key_revoke(
    context: typer.Context, which: Annotated[str, typer.Argument(help="Id or name of a key.")]
) -> None:
    """End a key at once."""
    from adapt.commands import keys

    raise typer.Exit(keys.revoke(context.obj, which))
