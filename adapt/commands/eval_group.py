"""The commands `perennial eval ...`, parsed only; what does the work is imported inside them."""

from pathlib import Path
from typing import Annotated

import typer

evals = typer.Typer(
    help="Suites asked of a model: scores, transcripts, comparisons.", no_args_is_help=True
)

Data = Annotated[
    Path, typer.Option(help="Folder of the published benchmarks' files, a folder each.")
]
Suite = Annotated[str | None, typer.Option(help="Which suite, where a version has several.")]
RUN = "A run's folder or the beginning of its name, a report's digest, or a version."
Named = Annotated[str, typer.Argument(metavar="RUN", help=RUN)]
HERE = Path("data")


@evals.command("list")
def eval_list(context: typer.Context, data: Data = HERE) -> None:
    """All suites, and whether the files of published ones are there."""
    from adapt.commands.evals_show import list_all

    raise typer.Exit(list_all(context.obj, data))


@evals.command("run")
def eval_run(
    context: typer.Context,
    suites: Annotated[list[str], typer.Argument(metavar="SUITE", help="`eval list` has all.")],
    version: Annotated[
        str | None, typer.Option(help="A version of the home; the live one without it.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A model alone: `pico`, a folder, a hub name; or one of --endpoint."),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="An OpenAI-compatible URL; its key is read from OPENAI_API_KEY."),
    ] = None,
    data: Data = HERE,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N items.")] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="N items of all slices, always the same ones.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="Of stabletoolbench: react, or dfsdt.")] = None,
    limits: Annotated[
        str | None, typer.Option(help="Of stabletoolbench: where runs stop, or toolbench's.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Of stabletoolbench: functions, or text.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Of stabletoolbench: folder of recorded replies.")
    ] = None,
    simulator: Annotated[
        str | None,
        typer.Option(help="Of stabletoolbench: URL of a model that plays the APIs, or `self`."),
    ] = None,
    simulator_model: Annotated[
        str | None, typer.Option(help="Its name; its key is read from SIMULATOR_API_KEY.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Items under way at once.")] = 64,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of one answer.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; one below it for each of many suites.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew; an earlier run is kept aside.")
    ] = False,
) -> None:
    """Ask a model; a run that was stopped goes on. Exit code 1 on engine faults."""
    from adapt.commands.evals_run import Request, run
    from adapt.commands.evals_toolbench import Playing

    playing = Playing(method, limits, form, cache, simulator, simulator_model)
    request = Request(
        version, model, endpoint, data, limit, sample, concurrency, max_tokens, out, fresh, playing
    )
    raise typer.Exit(run(context.obj, suites, request))


@evals.command("show")
def eval_show(
    context: typer.Context,
    run: Named,
    item: Annotated[str | None, typer.Option(help="The transcript of one item.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Items that are not right.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most items of --failed.")] = 50,
    suite: Suite = None,
) -> None:
    """Scores by slice, the items that are not right, or one transcript."""
    from adapt.commands.evals_show import show

    raise typer.Exit(show(context.obj, run, item, failed, limit, suite))


@evals.command("compare")
def eval_compare(
    context: typer.Context,
    first: Annotated[str, typer.Argument(help=RUN)],
    second: Annotated[str, typer.Argument(help="What is compared with it.")],
    suite: Suite = None,
) -> None:
    """Two runs of one suite, paired by item: is the second better, or is it chance?"""
    from adapt.commands.evals_show import compare_runs

    raise typer.Exit(compare_runs(context.obj, first, second, suite))


@evals.command("report")
def eval_report(
    context: typer.Context,
    run: Named,
    against: Annotated[
        str | None, typer.Option(metavar="RUN", help="An earlier run to show beside it.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write one page that needs no network.")] = None,
    inspect: Annotated[
        Path | None, typer.Option(help="Write a log that Inspect opens, FILE.json.")
    ] = None,
    suite: Suite = None,
) -> None:
    """A run as an HTML page, or as a log of Inspect."""
    from adapt.commands.evals_report import report

    raise typer.Exit(report(context.obj, run, against, html, inspect, suite))


@evals.command("selfcheck")
def eval_selfcheck(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="All without a name.")
    ] = None,
    data: Data = HERE,
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="A run of bfcl: its replies are marked by bfcl-eval too."),
    ] = None,
) -> None:
    """Check the scorers: gold answers pass, spoiled ones never do. Exit code 1 when not."""
    from adapt.commands.evals_check import selfcheck

    raise typer.Exit(selfcheck(context.obj, names or [], data, run))


@evals.command("judge")
def eval_judge(
    context: typer.Context,
    run: Named,
    endpoint: Annotated[
        str, typer.Option(help="The judge's URL; its key is read from OPENAI_API_KEY.")
    ],
    model: Annotated[str, typer.Option(help="The judge's name there.")],
    against: Annotated[
        str | None, typer.Option(metavar="RUN", help="A run of the same queries to win against.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each answer is judged.")] = 3,
) -> None:
    """A model's opinion of a run of stabletoolbench (SoPR, SoWR); one that was stopped goes on.
    Exit code 1 when verdicts are missing."""
    from adapt.commands.evals_judge import Judging, judge

    raise typer.Exit(judge(context.obj, run, against, Judging(endpoint, model, rounds)))


@evals.command("likelihood")
def eval_likelihood(
    context: typer.Context,
    version: Annotated[
        str | None, typer.Option(help="A version of the home; the live one without it.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A model alone: `pico`, a folder, a hub name.")
    ] = None,
    texts: Annotated[
        Path | None, typer.Option(help="A text or .jsonl file instead of the pinned texts.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Diverged from what; the base without it.")
    ] = None,
) -> None:
    """Perplexity on pinned texts, and how far a version's next tokens are from the base's."""
    from adapt.commands.evals_likelihood import Asked, likelihood

    raise typer.Exit(likelihood(context.obj, Asked(version, model, texts, against)))
