"""What people see of cycles, versions and reports: rich tables, and progress on stderr.

Renders and nothing else; JSON is the commands' business. Called by adapt.commands and adapt.up.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text

from adapt.events import Event
from adapt.gate_suite import p_needed
from agent.serve import StartProgress
from store.evidence import EvalReport, GateReport
from store.records import CycleStage

Row = Mapping[str, Any]

_EVERY = 60.0
"""Seconds between two lines of progress where there is no terminal."""
_WHAT = {
    CycleStage.GATHER: "reading the sources",
    CycleStage.SYNTHESIZE: "writing examples",
    CycleStage.ATTRIBUTE: "finding the rows that may change",
    CycleStage.IMPLANT: "training",
    CycleStage.COMPOSE: "putting the version together",
    CycleStage.EVALUATE: "asking both versions",
    CycleStage.GATE: "judging",
    CycleStage.SWAP: "swapping",
}
_FACTS = {
    CycleStage.GATHER: ("new",),
    CycleStage.SYNTHESIZE: ("train", "held_out"),
    CycleStage.COMPOSE: ("version",),
    CycleStage.EVALUATE: ("probe_difference",),
    CycleStage.GATE: ("verdict",),
    CycleStage.SWAP: ("live", "swap_ms", "canary", "share", "withheld"),
}
_COLOURS = {
    "live": "bold green", "canary": "cyan", "promoted": "green", "rejected": "red", "failed": "red",
    "abstained": "yellow", "rolled_back": "yellow", "running": "cyan",
}  # fmt: skip


def stdout() -> Console:
    """The console of results. Made on use: a test or a pipe may have replaced the stream."""
    # A file or a pipe has no width: rows that are broken there cannot be searched.
    return Console(soft_wrap=True, width=None if sys.stdout.isatty() else 240)


def stderr() -> Console:
    """The console of everything else."""
    return Console(stderr=True, soft_wrap=True)


def one_line(text: str) -> RenderableType:
    """Text that is cut at the edge of the terminal: a moving line that wraps would jump."""
    # Not the text itself: behind rich's spinner it would be put together anew, and wrap.
    return Group(Text(text, no_wrap=True, overflow="ellipsis"))


class CycleView:
    """Shows what is going on: one moving line on a terminal, finished steps above it.

    Events may come from any thread. The console defaults to stderr.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or stderr()
        self._status: Status | None = None
        self._said = time.monotonic()

    def __enter__(self) -> "CycleView":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.still()

    def moving(self, text: str) -> None:
        """Replace the moving line. Without a terminal a line is written now and then instead."""
        if not self.console.is_terminal:
            if time.monotonic() - self._said > _EVERY:
                self._said = time.monotonic()
                self.console.print(one_line(text), highlight=False)
            return
        if self._status is None:
            self._status = self.console.status(one_line(text))
            self._status.start()
        self._status.update(one_line(text))

    def still(self) -> None:
        """Take the moving line away, so that others can write."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def line(self, text: str) -> None:
        """Write a line that stays. `text` may hold rich markup."""
        self.console.print(text, highlight=False)

    def engine(self, progress: StartProgress) -> None:
        """The engine is starting."""
        self.moving(f"starting the engine, {progress.elapsed_s:.0f} s: {progress.step}")

    def notify(self, event: Event) -> None:
        """A cycle went on."""
        name = f"{event.stage.value:<11}"
        what = _WHAT[event.stage]
        if event.kind == "started":
            self.moving(f"{name} {what}")
        elif event.kind == "progress":
            count = f" {event.done}/{event.total}" if event.total else ""
            self.moving(f"{name} {what}{count} {event.text}".rstrip())
        elif event.kind == "failed":
            self.still()
            self.line(f"[red]x[/] {name} {escape(event.text)}")
        else:
            self.still()
            time = "before" if event.kind == "resumed" else f"{event.seconds:.1f} s"
            self.line(f"[green]o[/] {name} {time:>8}  {escape(facts(event.stage, event.facts))}")
            for test in event.facts.get("suites", ()):
                self.line(suite_line(test))


def facts(stage: CycleStage, outputs: Row) -> str:
    """The telling part of a stage's outputs."""
    said = [
        f"{key.replace('_', ' ')} {outputs[key]}"
        for key in _FACTS.get(stage, ())
        if outputs.get(key) is not None
    ]
    if outputs.get("scales"):
        tried = ", ".join(f"{s['scale']:g} ({s['score']:.2f})" for s in outputs["scales"])
        said.append(f"lambda {outputs['scale']:g} of {tried}")
    if outputs.get("refused"):
        said.append(f"{len(outputs['refused'])} files refused")
    return ", ".join(said)


def suite_line(test: Row) -> str:
    """How both versions did on one suite, and what the gate says of it."""
    score = f"{test['live']:.3f} -> {test['candidate']:.3f} of {test['items']} items"
    verdict = {"promote": "passed", "reject": "[red]failed[/]", "abstain": "[yellow]unproven[/]"}
    return f"{'':<13}{test['suite']:>8}  {score}  {verdict[test['verdict']]}"


def state(name: str) -> str:
    """The name of a state in its colour."""
    colour = _COLOURS.get(name)
    return f"[{colour}]{name}[/]" if colour else name


def table(rows: Sequence[Row], *columns: str, title: str | None = None) -> Table:
    """Plain rows as a table; None is shown as nothing."""
    made = Table(title=title, box=None, pad_edge=False, title_justify="left")
    for column in columns:
        made.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        cells = [_cell(column, row.get(column)) for column in columns]
        made.add_row(*cells)
    return made


def _cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    if column in ("state", "verdict"):
        return state(str(value))
    if isinstance(value, float):
        return f"{value:.3f}"
    return escape(str(value))


def gate_table(report: GateReport) -> Table:
    """Every test of a gate report."""
    claims = {"superiority": "better", "non_inferiority": "no worse"}
    rows = [
        {
            "suite": t.suite, "claim": claims[t.kind], "items": t.items, "live": t.live,
            "candidate": t.candidate, "needed": p_needed(t.level),
            "p": None if t.p_value is None else f"{t.p_value:.2g}",
            "e_value": f"{t.e_value:.3g}", "verdict": t.verdict.value, "margin": t.margin,
            "difference": f"{t.difference:+.3f} ({t.interval[0]:+.3f} to {t.interval[1]:+.3f})",
        }
        for t in report.tests
    ]  # fmt: skip
    columns = ("suite", "claim", "items", "live", "candidate", "difference", "margin", "p",
               "needed", "e_value", "verdict")  # fmt: skip
    return table(rows, *columns, title="\n".join(report.summary) or report.words)


def eval_rows(reports: Sequence[EvalReport]) -> list[dict[str, Any]]:
    """One row per suite and, where there are several, per slice: mean, 95% interval, items."""
    rows: list[dict[str, Any]] = []
    for report in reports:
        slices = sorted({o.slice for o in report.outcomes})
        groups = {"all": list(report.outcomes)}
        if len(slices) > 1:
            groups |= {s: [o for o in report.outcomes if o.slice == s] for s in slices}
        for name, outcomes in groups.items():
            scores = [o.score for o in outcomes]
            low, high = wilson(sum(scores), len(scores))
            rows.append({
                "suite": report.suite, "slice": name, "mean": sum(scores) / max(len(scores), 1),
                "low": low, "high": high, "items": len(scores),
                "faults": sum(o.error is not None for o in outcomes),
            })  # fmt: skip
    return rows


def wilson(successes: float, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's 95% interval of a share; (0, 1) of nothing. Partial scores count as they are."""
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)
