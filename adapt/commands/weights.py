"""The commands on weights: loki and skill, parsed only.

As perennial.py, it imports what does the work inside the commands.
"""

from pathlib import Path
from typing import Annotated

import typer

loki = typer.Typer(help="Which rows of a model matter least.", no_args_is_help=True)
skill = typer.Typer(help="Vectors that make new knowledge usable.", no_args_is_help=True)

For = Annotated[
    str | None, typer.Option("--model", help="The base: `pico`, a directory, or a hub name.")
]
Into = Annotated[Path, typer.Option(help="Folder for the vector.")]
Vector = Annotated[Path, typer.Argument(help="Folder of a vector.")]


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


@skill.command("train")
def skill_train(
    context: typer.Context,
    out: Into,
    model: For = None,
    source: Annotated[
        Path | None,
        typer.Option(
            help="Folder of ToolBench tool files; without it, the virtual API universe.",
            metavar="FOLDER",
        ),
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(
            help="A category of the source (again for more); of the virtual universe Logistics, "
            "Events and Finance without it, of a folder all."
        ),
    ] = None,
    questions: Annotated[
        int | None,
        typer.Option(min=1, help="Questions instead of tools: on so many places in each part."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Disjoint parts of the source.")] = 1,
    steps: Annotated[int, typer.Option(min=1, help="RL steps of a round.")] = 50,
    held_out: Annotated[int, typer.Option(min=1, help="Games to measure on, per round.")] = 120,
    work: Annotated[
        Path | None, typer.Option(help="Folder for what is under way; OUT-work without it.")
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves them.")] = 0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Learn a vector on a source domain: documents, then closed-book games (GRPO)."""
    from adapt.commands import skill as body

    given = {"source": source, "categories": category or [], "questions": questions,
             "rounds": rounds, "steps": steps, "held_out": held_out, "threads": threads,
             "seed": seed}  # fmt: skip
    raise typer.Exit(body.train(context.obj, out, model, given, work))


@skill.command("extract")
def skill_extract(
    context: typer.Context,
    before: Annotated[Path, typer.Argument(help="Checkpoint before RL.")],
    after: Annotated[Path, typer.Argument(help="Checkpoint after RL.")],
    out: Into,
    model: For = None,
    rank: Annotated[int, typer.Option(min=1, help="Most that a module's rank may be.")] = 16,
    domain: Annotated[str, typer.Option(help="What it was trained on.")] = "unknown",
) -> None:
    """Take a vector out of two full checkpoints."""
    from adapt.commands import skill as body

    given = {"model": model, "rank": rank, "domain": domain}
    raise typer.Exit(body.extract(context.obj, before, after, out, given))


@skill.command("combine")
def skill_combine(
    context: typer.Context,
    parts: Annotated[
        list[str], typer.Argument(help="DIR, or DIR*FACTOR; -1 takes it away.", metavar="DIR...")
    ],
    out: Into,
    model: For = None,
    domain: Annotated[str | None, typer.Option(help="What to call the sum.")] = None,
) -> None:
    """Add vectors, each times a factor: exact, and the ranks add up."""
    from adapt.commands import skill as body

    raise typer.Exit(body.combine(context.obj, parts, out, model, domain))


@skill.command("inspect")
def skill_inspect(
    context: typer.Context,
    vector: Vector,
    against: Annotated[
        Path | None, typer.Option(help="Another adapter, to compare with.", metavar="DIR")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="LoKI's rows, for the share in them.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write a heat map as a picture.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a heat map as a page.")] = None,
) -> None:
    """Show how large a vector is where, and its angle to another change."""
    from adapt.commands import skill as body

    raise typer.Exit(body.inspect(context.obj, vector, against, mask, png, html))


@skill.command("sweep")
def skill_sweep(
    context: typer.Context,
    version: Annotated[
        str | None, typer.Argument(help="A version that an update made; the live one without.")
    ] = None,
    scales: Annotated[str, typer.Option(help="Lambdas, with commas.")] = "0,0.5,1,1.5,2",
    vector: Annotated[
        Path | None, typer.Option(help="Another vector than the home's.", metavar="DIR")
    ] = None,
    items: Annotated[int, typer.Option(min=1, help="Most questions asked of each.")] = 160,
    every: Annotated[
        bool, typer.Option("--every", help="Ask each all questions, not the better ones more.")
    ] = False,
) -> None:
    """Ask one update at several strengths of the vector, side by side in one engine."""
    from adapt.commands import sweep as body

    try:
        wanted = [float(part) for part in scales.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{scales!r} is no list of numbers such as 0,0.5,1") from None
    raise typer.Exit(body.sweep(context.obj, version, wanted, vector, items, every))
