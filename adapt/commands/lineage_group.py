"""`perennial lineage` and `perennial documents withdraw`, parsed only.

As perennial.py, it imports what does the work inside the commands.
"""

from typing import Annotated

import typer

lineage = typer.Typer(
    help="Where an answer comes from, and what became of a document.", no_args_is_help=True
)
documents = typer.Typer(help="What was gathered.", no_args_is_help=True)


@lineage.command("answer")
def lineage_answer(
    context: typer.Context,
    episode: Annotated[str, typer.Argument(help="`perennial.episode` in the answer.")],
) -> None:
    """The version, updates, examples, documents and sources behind an answer."""
    from adapt.commands import lineage

    raise typer.Exit(lineage.of_answer(context.obj, episode))


@lineage.command("version")
def lineage_version(
    context: typer.Context, name: Annotated[str, typer.Argument(help="Name of a version.")]
) -> None:
    """The updates, examples, documents and sources behind a version."""
    from adapt.commands import lineage

    raise typer.Exit(lineage.of_version(context.obj, name))


@lineage.command("document")
def lineage_document(
    context: typer.Context, digest: Annotated[str, typer.Argument(help="Digest of a document.")]
) -> None:
    """The examples, updates, versions and answers that came of a document."""
    from adapt.commands import lineage

    raise typer.Exit(lineage.of_document(context.obj, digest))


@documents.command("withdraw")
def documents_withdraw(
    context: typer.Context,
    digests: Annotated[list[str], typer.Argument(help="Digests of documents.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take documents out for ever, and make anew without them what learned from them."""
    from adapt.commands import withdraw

    raise typer.Exit(withdraw.withdraw(context.obj, digests, yes))
