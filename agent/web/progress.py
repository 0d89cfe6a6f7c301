"""A cycle as the pages show it: its stages in their order, how far the running one is.

Reads records and changes nothing. Called by agent.web.learning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from store.records import Cycle, CycleStage, CycleState, StageRecord, utc_now

WHAT = {
    CycleStage.GATHER: ("Gather", "reading the sources"),
    CycleStage.SYNTHESIZE: ("Write examples", "writing examples from the documents"),
    CycleStage.ATTRIBUTE: ("Find rows", "finding the rows that may change"),
    CycleStage.IMPLANT: ("Train", "training those rows"),
    CycleStage.COMPOSE: ("Compose", "putting the version together"),
    CycleStage.EVALUATE: ("Evaluate", "asking both versions"),
    CycleStage.GATE: ("Gate", "judging the evidence"),
    CycleStage.SWAP: ("Swap", "putting it in front of users"),
}
ENDED = {
    CycleState.PROMOTED: "Promoted", CycleState.REJECTED: "Rejected",
    CycleState.ABSTAINED: "Not proven", CycleState.SKIPPED: "Nothing new",
    CycleState.FAILED: "Failed", CycleState.RUNNING: "Running",
}  # fmt: skip


@dataclass(frozen=True)
class StageRow:
    """One stage: `state` is `done`, `running`, `failed` or `ahead`."""

    name: str
    title: str
    what: str
    state: str
    seconds: float | None
    gave: str
    error: str | None


@dataclass(frozen=True)
class CycleRow:
    """A cycle in the list."""

    number: int
    state: str
    words: str
    started: datetime
    seconds: float | None
    new: int | None
    version: str | None
    why: tuple[str, ...]
    """What came of it and why, a sentence or two in each."""


def stage_rows(cycle: Cycle, *, at_work: bool) -> list[StageRow]:
    """All eight stages. `at_work`: whether the cycle goes on now."""
    found = {record.stage: record for record in cycle.stages}
    return [_row(stage, found.get(stage), at_work) for stage in CycleStage]


def _row(stage: CycleStage, record: StageRecord | None, at_work: bool) -> StageRow:
    title, what = WHAT[stage]
    if record is None:
        return StageRow(stage.value, title, what, "ahead", None, "", None)
    if record.outputs is not None:
        return StageRow(
            stage.value, title, what, "done", record.seconds, gave(stage, record.outputs), None
        )
    if record.error or not at_work:
        error = record.error or "interrupted; the next start goes on here"
        return StageRow(stage.value, title, what, "failed", None, "", error)
    since = (utc_now() - record.started_at).total_seconds()
    return StageRow(stage.value, title, what, "running", since, "", None)


def gave(stage: CycleStage, out: Mapping[str, Any]) -> str:
    """What a stage gave, in a few words."""
    match stage:
        case CycleStage.GATHER:
            refused = f", {len(out['refused'])} refused" if out.get("refused") else ""
            return f"{out.get('new', 0)} new documents{refused}"
        case CycleStage.SYNTHESIZE:
            return f"{out.get('train', 0)} to train on, {out.get('held_out', 0)} held out"
        case CycleStage.IMPLANT:
            loss = (out.get("train") or {}).get("last_loss")
            return f"loss {loss:.3f} at the end" if isinstance(loss, float) else ""
        case CycleStage.COMPOSE:
            return str(out.get("version", ""))
        case CycleStage.EVALUATE:
            return f"{sum((out.get('planned') or {}).values())} questions to both"
        case CycleStage.GATE:
            return str(out.get("verdict", ""))
        case CycleStage.SWAP:
            if out.get("canary"):
                return f"{out['canary']} answers {out.get('share', 0):.0%} of new threads"
            return f"{out['live']} is live" if out.get("live") else ""
        case _:
            return ""


def cycle_row(cycle: Cycle) -> CycleRow:
    """A cycle in short."""
    given: dict[str, Any] = {}
    for stage in cycle.stages:
        given |= stage.outputs or {}
    spent = (cycle.ended_at - cycle.started_at).total_seconds() if cycle.ended_at else None
    return CycleRow(
        number=cycle.number, state=cycle.state.value, words=ENDED[cycle.state],
        started=cycle.started_at, seconds=spent, new=given.get("new"),
        version=given.get("version"), why=_why(cycle, given),
    )  # fmt: skip


def _why(cycle: Cycle, given: Mapping[str, Any]) -> tuple[str, ...]:
    if cycle.error:
        return (cycle.error,)
    if given.get("summary"):
        return tuple(given["summary"])
    return (given["words"],) if given.get("words") else ()


def share_done(rows: Sequence[StageRow], progress: Mapping[str, Any] | None) -> float:
    """How much of the running stage is done, 0 to 100; 0 where it does not say."""
    running = next((row for row in rows if row.state == "running"), None)
    if not (running and progress and progress["stage"] == running.name and progress["total"]):
        return 0.0
    return min(100.0, 100.0 * progress["done"] / progress["total"])
