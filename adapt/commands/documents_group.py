"""`perennial documents`: what was gathered, and whether it can be found; parsed only.

As perennial.py, it imports what does the work inside the commands. Withdrawing is parsed in
adapt/commands/lineage_group.py, which has the group.
"""

from typing import Annotated

import typer

from adapt.commands.lineage_group import documents

__all__ = ["documents"]

Digest = Annotated[str, typer.Argument(help="Digest of a document, or its beginning.")]


@documents.command("list")
def documents_list(
    context: typer.Context,
    state: Annotated[
        str | None, typer.Option(help="new, duplicate, quarantined, accepted or withdrawn.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Of this source only.")] = None,
) -> None:
    """All documents, in the order in which they came."""
    from adapt.commands import documents

    raise typer.Exit(documents.show_all(context.obj, state, source))


@documents.command("show")
def documents_show(
    context: typer.Context,
    digest: Digest,
    difference: Annotated[
        bool, typer.Option("--difference", help="Only what changed since the edition before.")
    ] = False,
) -> None:
    """One document: its text, its editions, what says the same."""
    from adapt.commands import documents

    raise typer.Exit(documents.show(context.obj, digest, difference))


@documents.command("check")
def documents_check(context: typer.Context) -> None:
    """Compare the search index with the documents. Exit code 1 when they differ."""
    from adapt.commands import documents

    raise typer.Exit(documents.check(context.obj))


@documents.command("reindex")
def documents_reindex(context: typer.Context) -> None:
    """Build the search index anew from the documents."""
    from adapt.commands import documents

    raise typer.Exit(documents.reindex(context.obj))


@documents.command("review")
def documents_review(
    context: typer.Context,
    digest: Annotated[
        str | None, typer.Argument(help="Show this one: its digest, or the beginning of it.")
    ] = None,
    accept: Annotated[
        str | None, typer.Option(help="Let this one be searched and learned.", metavar="DIGEST")
    ] = None,
    withdraw: Annotated[
        str | None, typer.Option(help="Keep this one out for ever.", metavar="DIGEST")
    ] = None,
    why: Annotated[str, typer.Option(help="Why: kept with the decision.")] = "",
    decided: Annotated[
        bool, typer.Option("--all", help="Also those that were decided about.")
    ] = False,
) -> None:
    """What is kept back, and why; accept or withdraw it."""
    from adapt.commands import reviews

    raise typer.Exit(reviews.review(context.obj, digest, accept, withdraw, why, decided))
