"""What came of a run, for readers: its report, its transcripts, means by slice with intervals.

Finds runs by folder, by report digest or by version. Asks and judges nothing. Called by
`perennial eval show`, `compare` and `report`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapt.evals.runs.folders import Asked, RunFolder
from adapt.evals.runs.journal import Entry, read_entries
from adapt.show import wilson
from store.errors import NotFoundError
from store.evidence import EvalReport, ItemOutcome
from store.records import utc_now

ALL = "all"
"""Name of the row of the whole suite."""


@dataclass(frozen=True)
class Run:
    """A run that is finished, or as far as it has come."""

    report: EvalReport
    asked: Asked | None = None
    """None for a report that lies in a store: it has no transcripts."""
    folder: Path | None = None

    @property
    def label(self) -> str:
        """The suite's name on the command line."""
        return self.asked.label if self.asked else self.report.suite

    @property
    def model(self) -> str:
        """What was asked, for people."""
        named = self.asked.shown if self.asked else ""
        return f"{named} ({self.report.version})" if named else self.report.version

    @property
    def items(self) -> int:
        """Items of the suite."""
        return self.asked.items if self.asked else len(self.report.outcomes)

    @property
    def finished(self) -> bool:
        """Whether every item has an outcome."""
        return len(self.report.outcomes) >= self.items

    def entries(self) -> Iterator[Entry]:
        """The last entry of each item, in no order; none for a report of a store."""
        if self.folder is None:
            return
        last = {e.item: place for place, e in enumerate(read_entries(RunFolder(self.folder).items))}
        places = set(last.values())
        for place, entry in enumerate(read_entries(RunFolder(self.folder).items)):
            if place in places:
                yield entry

    def entry(self, name: str) -> Entry:
        """One item by its name, or by its digest or the beginning of it. NotFoundError."""
        found: Entry | None = None
        for entry in self.entries():
            if name == entry.name or (len(name) >= 6 and entry.item.startswith(name)):
                found = entry
        if found is None:
            raise NotFoundError(
                f"no item {name!r} in this run"
                + ("" if self.folder else ": it has no transcripts"),
                "`perennial eval show RUN --failed` lists items",
            )
        return found


def open_run(folder: Path) -> Run:
    """The run in a folder; one that is not through has the outcomes so far."""
    run = RunFolder(folder)
    asked = run.asked()
    report = run.report()
    if report is None:
        outcomes = {e.item: e.outcome for e in read_entries(run.items)}
        report = EvalReport(
            digest="unfinished", version=asked.model, suite=asked.suite,
            suite_digest=asked.suite_digest, decoding=asked.decoding, engine={},
            outcomes=tuple(outcomes.values()), created_at=utc_now(),
        )  # fmt: skip
    return Run(report, asked, folder)


def find_run(name: str, evals: Path) -> Run | None:
    """A run by its folder's path, its name in `evals` or the beginning of that, or by the digest
    (or eight digits of it) of its report. NotFoundError where several are meant."""
    for path in (Path(name).expanduser(), evals / name):
        if path.is_dir():
            return open_run(path)
    folders = sorted(p.parent for p in evals.glob("*/run.json"))
    meant = [f for f in folders if f.name.startswith(name)]
    if len(meant) > 1:
        raise NotFoundError(
            f"{name!r} may mean {', '.join(f.name for f in meant[:5])}", "give more of the name"
        )
    if meant:
        return open_run(meant[0])
    if len(name) >= 8:
        for folder in folders:
            report = RunFolder(folder).report()
            if report is not None and report.digest.startswith(name):
                return open_run(folder)
    return None


def label_of(outcome: ItemOutcome) -> str:
    """What an item is called: by its benchmark, or by twelve digits of its digest."""
    return outcome.name or outcome.item[:12]


def slice_rows(outcomes: Sequence[ItemOutcome]) -> list[dict[str, Any]]:
    """The whole suite, then its slices (`groups`): mean, 95% interval, items, invalid replies,
    faults, means of the further measures. Means leave out faults, which say nothing of the model.
    """
    places = groups([o.slice for o in outcomes])
    return [_row(name, [outcomes[i] for i in found]) for name, found in places.items()]


def groups(slices: Sequence[str]) -> dict[str, list[int]]:
    """Places by group, given the slice of each place: all, then each slice where there are several.

    Slices `a/b` and `a/c` are in a group `a/*` before them as well, where there are others.
    """
    found: dict[str, list[int]] = {ALL: list(range(len(slices)))}
    names = sorted(set(slices))
    families = Counter(name.split("/")[0] for name in names)
    for name in names if len(names) > 1 else ():
        family = name.split("/")[0]
        own = [place for place, one in enumerate(slices) if one == name]
        if families[family] > 1 and len(families) > 1:
            found.setdefault(f"{family}/*", []).extend(own)
        found[name] = own
    return found


def _row(name: str, outcomes: Sequence[ItemOutcome]) -> dict[str, Any]:
    scores = [o.score for o in outcomes if o.error is None]
    # Where nothing was scored there is no mean: a 0 would read as a model that failed.
    low, high = wilson(sum(scores), len(scores)) if scores else (None, None)
    row: dict[str, Any] = {
        "slice": name, "mean": sum(scores) / len(scores) if scores else None,
        "low": low, "high": high,
        "items": len(outcomes), "invalid": sum(not o.valid and o.error is None for o in outcomes),
        "faults": len(outcomes) - len(scores),
    }  # fmt: skip
    for measure in measures_of(outcomes):
        values = [o.measures[measure] for o in outcomes if measure in o.measures]
        row[measure] = sum(values) / len(values)
    return row


def measures_of(outcomes: Sequence[ItemOutcome]) -> list[str]:
    """Names of the further measures that some outcome has."""
    return sorted({m for o in outcomes for m in o.measures})


def reasons(outcomes: Sequence[ItemOutcome], most: int = 5) -> list[tuple[str, int]]:
    """The commonest reasons of items that are not right, with their numbers; none that only one
    item has."""
    wrong = Counter(o.detail for o in outcomes if o.score < 1 and o.error is None)
    return [(why, count) for why, count in wrong.most_common(most) if count > 1]


def worst(outcomes: Sequence[ItemOutcome]) -> list[ItemOutcome]:
    """Items that are not right, the lowest scores first, invalid ones before others."""
    wrong = [o for o in outcomes if o.score < 1 and o.error is None]
    return sorted(wrong, key=lambda o: (o.score, o.valid, o.slice))
