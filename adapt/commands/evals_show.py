"""`perennial eval list`, `show`, `compare` and `selfcheck`: what there is, and what came of it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapt.commands import Options
from adapt.commands.evals_find import run_named
from adapt.evals.compare import Comparison, Difference, Pair, compare
from adapt.evals.journal import Entry
from adapt.evals.named import list_suites
from adapt.evals.results import label_of, measures_of, reasons, slice_rows, worst
from adapt.evals.transcript import readable, shown_message
from adapt.show import CycleView, stderr, stdout, table

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
    if not run.finished:
        title += f"; unfinished: {len(outcomes)} of {run.items} items"
    why = reasons(outcomes)
    value = {
        "suite": run.label, "model": run.model, "digest": run.report.digest,
        "suite_digest": run.report.suite_digest, "decoding": run.report.decoding,
        "finished": run.finished, "slices": rows, "reasons": [list(pair) for pair in why],
        "folder": str(run.folder) if run.folder else None,
    }  # fmt: skip
    options.put(value, table(rows, *columns, title=title))
    if why and not options.as_json:
        said = [{"why": readable(text), "items": count} for text, count in why]
        options.put(None, table(said, "items", "why", title="\nmost frequent reasons"))
    return 0


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


def selfcheck(options: Options, names: Sequence[str], data: Path) -> int:
    """Whether the scorers pass every gold answer and no spoiled one. 1 when not."""
    from adapt.evals.selfcheck import selfcheck

    with CycleView() as view:

        def progress(name: str, items: int) -> None:
            view.moving(f"checking {name}: {items} items")

        found = selfcheck(data, list(names), progress)
    benchmarks: dict[str, Any] = found["benchmarks"]
    rows = [
        {
            "benchmark": name,
            **{key: told[key] for key in ("items", "gold", "exceptions")},
            # Of spoiled answers none may pass: 0 of those tried is well.
            **{c: f"{n['passed']} of {n['tried']}" for c, n in told["corruptions"].items()},
            **told["trivial"],
        }
        for name, told in benchmarks.items()
    ]
    columns = dict.fromkeys(key for row in rows for key in row)
    options.put(found, table(rows, *columns))
    for name, why in found["skipped"].items():
        stderr().print(f"skipped {name}: {why}", markup=False, highlight=False)
    for failure in found["failures"]:
        said = " ".join(failure[key] for key in ("benchmark", "item", "what", "detail"))
        stderr().print(readable(f"failed: {said}"), markup=False, highlight=False)
    return 0 if found["ok"] else 1
