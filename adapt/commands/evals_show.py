"""`perennial eval list`, `show` and `compare`: what there is, and what came of it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapt.commands import Options
from adapt.commands.evals_find import refuse_other_setting, run_named
from adapt.evals.runs.compare import Comparison, Difference, Pair, compare
from adapt.evals.runs.journal import Entry
from adapt.evals.runs.named import list_suites
from adapt.evals.runs.results import ALL, Run, label_of, measures_of, reasons, slice_rows, worst
from adapt.evals.runs.transcript import readable, shown_message
from adapt.evals.selfchecking.trivial import trivial_of
from adapt.show import stderr, stdout, table

ANSWER_SHOWN = 60
"""Characters of an answer in a table."""
ITEMS_SHOWN = 10
"""Items won or lost that are listed by name."""


def list_all(options: Options, data: Path) -> int:
    """All suites, with their items and what keeps them from being asked."""
    rows = [asdict(listed) for listed in list_suites(data)]
    shown = [{**row, "items": row["items"] or "no files"} for row in rows]
    options.put(rows, table(shown, "name", "kind", "items", "about"))
    missing = [row["trouble"] for row in rows if row["trouble"]]
    if missing:
        stderr().print(f"{len(missing)} have no files that can be read: {missing[0]}", markup=False)
    return 0


def show(
    options: Options, name: str, item: str | None, failed: bool, limit: int, suite: str | None
) -> int:
    """Means by slice and the commonest reasons; or items that are not right; or one transcript."""
    run = run_named(options, name, suite)
    if item is not None:
        _transcript(options, run.entry(item))
        return 0
    outcomes = run.report.outcomes
    if failed:
        wrong = worst(outcomes)
        rows = [
            {
                "item": label_of(o), "slice": o.slice, "score": o.score, "valid": o.valid,
                "why": o.detail, "answer": o.answer,
            }
            for o in wrong[:limit]
        ]  # fmt: skip
        cut = [{**r, "why": readable(r["why"]), "answer": _short(r["answer"])} for r in rows]
        title = f"{run.label} of {run.model}: {len(wrong)} of {len(outcomes)} not right"
        options.put(rows, table(cut, "item", "slice", "score", "why", "answer", title=title))
        return 0
    rows = slice_rows(outcomes)
    columns = ("slice", "mean", "low", "high", "items", "invalid", "faults", *measures_of(outcomes))
    title = f"{run.label} of {run.model}, 95% intervals"
    if run.asked and run.asked.setting:
        title += f"; {', '.join(f'{k} {v}' for k, v in run.asked.setting.items() if v)}"
    if not run.finished:
        title += f"; unfinished: {len(outcomes)} of {run.items} items"
    why = reasons(outcomes)
    value = {
        "suite": run.label, "model": run.model, "digest": run.report.digest,
        "suite_digest": run.report.suite_digest, "decoding": run.report.decoding,
        "finished": run.finished, "slices": rows, "reasons": [list(pair) for pair in why],
        "folder": str(run.folder) if run.folder else None, "trivial": trivial_of(run),
        "setting": run.asked.setting if run.asked else {},
    }  # fmt: skip
    options.put(value, table([*rows, *trivial_rows(run)], *columns, title=title))
    if why and not options.as_json:
        said = [{"why": readable(text), "items": count} for text, count in why]
        options.put(None, table(said, "items", "why", title="\nmost frequent reasons"))
    return 0


def trivial_rows(run: Run) -> list[dict[str, Any]]:
    """A row for each agent that looks at no question, as those of slices; none where they are not
    known."""
    told = trivial_of(run) or {}
    return [
        {"slice": f"({agent.replace('_', ' ')})", **slices[ALL]} for agent, slices in told.items()
    ]


def _transcript(options: Options, entry: Entry) -> None:
    if options.as_json:
        options.put(entry.model_dump(mode="json"))
        return
    console = stdout()
    outcome = entry.outcome
    head = [
        f"item     {readable(entry.name or entry.item[:12])}, {entry.slice}",
        f"score    {outcome.score:g}{'' if outcome.valid else ', invalid'}"
        f", {readable(outcome.error or outcome.detail)}",
        f"tools    {readable(', '.join(entry.tools)) or 'none'}",
        f"tokens   {entry.prompt_tokens} read, {entry.completion_tokens} written, "
        f"{entry.seconds:.1f} s",
    ]
    said = [shown_message(message) for message in entry.messages]
    console.print("\n\n".join(["\n".join(head), *said]), markup=False, highlight=False)


def compare_runs(options: Options, first: str, second: str, suite: str | None) -> int:
    """Two runs paired by item."""
    a, b = run_named(options, first, suite), run_named(options, second, suite)
    refuse_other_setting(a, b)
    result = compare(a.report, b.report)
    value = {
        "first": a.model, "second": b.model, "suite": b.label,
        "slices": [asdict(row) for row in result.slices], "mcnemar_p": result.mcnemar_p,
        "e_better": result.e_better, "e_worse": result.e_worse,
        "won": [label_of(o) for _, o in result.won], "lost": [label_of(o) for _, o in result.lost],
        "left_out": result.left_out,
    }  # fmt: skip
    columns = ("slice", "items", "first", "second", "difference", "95% interval", "won", "lost")
    title = f"{b.label}: {b.model} against {a.model}, paired by item"
    options.put(value, table([_row(d) for d in result.slices], *columns, title=title))
    if not options.as_json:
        stdout().print("\n".join(_words(result)), markup=False, highlight=False)
    return 0


def _row(d: Difference) -> dict[str, Any]:
    return {
        **asdict(d), "difference": f"{d.difference:+.3f}",
        "95% interval": f"{d.low:+.3f} to {d.high:+.3f}",
    }  # fmt: skip


def _words(result: Comparison) -> list[str]:
    said = [
        f"\nchance alone (exact McNemar test): p = {result.mcnemar_p:.3g}",
        f"evidence (e-value; 20 is proof at 5%): better {result.e_better:.3g}, "
        f"worse {result.e_worse:.3g}",
        f"won: {_listed(result.won)}",
        f"lost: {_listed(result.lost)}",
    ]
    if result.left_out:
        said.append(f"left out, for an engine fault or no answer yet: {result.left_out} items")
    return said


def _listed(pairs: Sequence[Pair]) -> str:
    names = [readable(label_of(o)) for _, o in pairs[:ITEMS_SHOWN]]
    more = len(pairs) - len(names)
    return (", ".join(names) or "nothing") + (f" and {more} more" if more else "")


def _short(text: str) -> str:
    line = " ".join(readable(text).split())
    return line if len(line) <= ANSWER_SHOWN else line[: ANSWER_SHOWN - 3] + "..."
