"""Cycles: how far each run of the loop got, stage by stage, so that it can go on after a kill.

It records; running the stages is adapt/cycle's business. Called by the cycle and the command line.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from store.database import Database
from store.errors import NotFoundError, StateError
from store.records import Cycle, CycleStage, CycleState, StageRecord, utc_now
from store.tables import cycles, pack, stages, unpack

_ORDER = {stage: place for place, stage in enumerate(CycleStage)}


class Cycles:
    """The tables of cycles and of their stages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, settings: dict[str, Any]) -> Cycle:
        """Begin the next cycle (numbers go up from 1). Raises StateError while one is running."""
        with self._database.begin() as db:
            running = db.scalar(select(cycles.c.number).where(cycles.c.state == CycleState.RUNNING))
            if running is not None:
                raise StateError(
                    f"cycle {running} is still running", "resume it, or finish it as failed"
                )
            number = (db.scalar(select(func.max(cycles.c.number))) or 0) + 1
            cycle = Cycle(
                number=number, state=CycleState.RUNNING, started_at=utc_now(), settings=settings
            )
            db.execute(
                insert(cycles).values(number=number, state=cycle.state, record=_packed(cycle))
            )
        return cycle

    def unfinished(self) -> Cycle | None:
        """The newest running cycle, the one to resume; None when there is none."""
        query = select(cycles.c.number).where(cycles.c.state == CycleState.RUNNING)
        with self._database.read() as db:
            number = db.scalar(query.order_by(cycles.c.number.desc()).limit(1))
            return None if number is None else _cycle(db, number)

    def stage_started(self, number: int, stage: CycleStage, inputs: dict[str, Any]) -> None:
        """Record that a stage begins, in place of a try that did not finish.

        Raises StateError when the stage is already done, or the cycle is not running.
        """
        with self._database.begin() as db:
            _running(db, number)
            known = _stage(db, number, stage)
            if known is not None and known.outputs is not None:
                raise StateError(
                    f"stage {stage} of cycle {number} is already done", "use its outputs"
                )
            _write(db, number, StageRecord(stage=stage, started_at=utc_now(), inputs=inputs))

    def stage_done(
        self, number: int, stage: CycleStage, outputs: dict[str, Any], seconds: float
    ) -> None:
        """Record what a stage gave out. Raises StateError when it was not started."""
        self._end_stage(number, stage, outputs=outputs, seconds=seconds, error=None)

    def stage_failed(self, number: int, stage: CycleStage, error: str) -> None:
        """Record why a stage failed; it may be started again. StateError when not started."""
        self._end_stage(number, stage, error=error)

    def finish(self, number: int, state: CycleState, error: str | None = None) -> None:
        """End a running cycle. Raises StateError when it has ended already."""
        if state is CycleState.RUNNING:
            raise StateError(f"cycle {number} cannot finish as running", "say how it ended")
        with self._database.begin() as db:
            ended = {"ended_at": utc_now(), "error": error}
            cycle = _running(db, number).model_copy(update=ended)
            db.execute(
                update(cycles)
                .where(cycles.c.number == number)
                .values(state=state, record=_packed(cycle))
            )

    def get(self, number: int) -> Cycle:
        """One cycle with its stages in order. Raises NotFoundError."""
        with self._database.read() as db:
            return _cycle(db, number)

    def list(self) -> list[Cycle]:
        """All cycles, oldest first."""
        done: dict[int, list[StageRecord]] = {}
        with self._database.read() as db:
            rows = db.execute(select(cycles).order_by(cycles.c.number)).all()
            for number, text in db.execute(select(stages.c.cycle, stages.c.record)):
                done.setdefault(number, []).append(unpack(StageRecord, text))
        return [_joined(row.record, row.state, done.get(row.number, [])) for row in rows]

    def count_by_state(self) -> dict[CycleState, int]:
        """How many cycles are in each state that any is in."""
        query = select(cycles.c.state, func.count()).group_by(cycles.c.state)
        with self._database.read() as db:
            return {CycleState(state): count for state, count in db.execute(query)}

    def newest_first(self) -> Iterator[Cycle]:
        """All cycles from the newest back, each read when it is asked for: the last few among
        thousands cost no more than among few."""
        with self._database.read() as db:
            newest = db.scalar(select(func.max(cycles.c.number))) or 0
        for number in range(newest, 0, -1):
            yield self.get(number)

    def _end_stage(self, number: int, stage: CycleStage, **ended: Any) -> None:
        with self._database.begin() as db:
            _running(db, number)
            known = _stage(db, number, stage)
            if known is None or known.outputs is not None:
                what = "was never started" if known is None else "is already done"
                raise StateError(
                    f"stage {stage} of cycle {number} {what}", "start the stage before ending it"
                )
            _write(db, number, known.model_copy(update=ended))


def _packed(cycle: Cycle) -> str:
    return pack(cycle, without=("state", "stages"))


def _cycle(db: Connection, number: int) -> Cycle:
    row = db.execute(
        select(cycles.c.state, cycles.c.record).where(cycles.c.number == number)
    ).one_or_none()
    if row is None:
        newest = db.scalar(select(func.max(cycles.c.number)))
        raise NotFoundError(
            f"no cycle {number}",
            "there are none yet" if newest is None else f"they go from 1 to {newest}",
        )
    texts = db.scalars(select(stages.c.record).where(stages.c.cycle == number))
    return _joined(row.record, row.state, [unpack(StageRecord, text) for text in texts])


def _joined(record: str, state: str, done: Iterable[StageRecord]) -> Cycle:
    ordered = sorted(done, key=lambda s: _ORDER[s.stage])
    return unpack(Cycle, record, state=state, stages=tuple(ordered))


def _running(db: Connection, number: int) -> Cycle:
    cycle = _cycle(db, number)
    if cycle.state is not CycleState.RUNNING:
        raise StateError(f"cycle {number} has ended as {cycle.state}", "start a new cycle")
    return cycle


def _stage(db: Connection, number: int, stage: CycleStage) -> StageRecord | None:
    text = db.scalar(
        select(stages.c.record).where(stages.c.cycle == number, stages.c.stage == stage)
    )
    return None if text is None else unpack(StageRecord, text)


def _write(db: Connection, number: int, record: StageRecord) -> None:
    db.execute(delete(stages).where(stages.c.cycle == number, stages.c.stage == record.stage))
    db.execute(insert(stages).values(cycle=number, stage=record.stage, record=pack(record)))
