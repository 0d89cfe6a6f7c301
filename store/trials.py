"""Trials: how a version does once users meet it, as a canary and while it is watched.

Says what is tried against what, and how it ended; the evidence is in the episodes. It moves the
states of trials and of no version. Called by adapt.canary, adapt.watch and the command line.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from sqlalchemy import Row, Select, func, insert, select, update

from store.database import Database
from store.errors import NotFoundError, StateError
from store.records import Record, utc_now
from store.tables import aware, moment, pack, trials, unpack

Kind = Literal["canary", "watch"]
"""`canary`: before it is live, on a share of the new threads. `watch`: live, against the version
before."""


class TrialState(StrEnum):
    """Life of a trial. `harm`: shown, and not yet acted on."""

    RUNNING = "running"
    HARM = "harm"
    PASSED = "passed"
    WITHDRAWN = "withdrawn"
    STOPPED = "stopped"


TRIAL_TRANSITIONS: Mapping[TrialState, frozenset[TrialState]] = {
    TrialState.RUNNING: frozenset({TrialState.HARM, TrialState.PASSED, TrialState.STOPPED}),
    TrialState.HARM: frozenset({TrialState.WITHDRAWN, TrialState.STOPPED}),
    TrialState.PASSED: frozenset(),
    TrialState.WITHDRAWN: frozenset(),
    TrialState.STOPPED: frozenset(),
}
OPEN = (TrialState.RUNNING, TrialState.HARM)


class Trial(Record):
    """One version tried against another."""

    number: int
    kind: Kind
    version: str
    against: str
    """What was live when it began."""
    runs: int
    """Answered runs of the version after which the trial has passed."""
    alpha: float
    """Chance of finding harm where there is none."""
    share: float = 0.0
    """Of new threads, that a canary answers."""
    key: str = ""
    """Secret that decides which threads these are. Hex; shown to nobody."""
    began_at: datetime
    state: TrialState = TrialState.RUNNING
    words: str = ""
    """Why it is in this state."""
    ended_at: datetime | None = None


_COLUMNS = ("state", "words", "ended_at")


class Trials:
    """The table of trials. At most one of each kind is open."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self, kind: Kind, version: str, against: str, *, runs: int, alpha: float,
        share: float = 0.0, key: str = "",
    ) -> Trial:  # fmt: skip
        """A new trial, running. StateError while another one of its kind is open."""
        with self._database.begin() as db:
            query = select(trials.c.version).where(trials.c.kind == kind, trials.c.state.in_(OPEN))
            if (other := db.scalar(query)) is not None:
                raise StateError(
                    f"{version} cannot be tried as {kind}: {other} is",
                    "make that one live, or roll it back: see perennial versions",
                )
            number = (db.scalar(select(func.max(trials.c.number))) or 0) + 1
            trial = Trial(
                number=number, kind=kind, version=version, against=against, runs=runs,
                alpha=alpha, share=share, key=key, began_at=utc_now(),
            )  # fmt: skip
            columns = {"number": number, "kind": kind, "version": version}
            state = {"state": trial.state, "words": "", "ended_at": None}
            db.execute(
                insert(trials).values(record=pack(trial, without=_COLUMNS), **columns, **state)
            )
        return trial

    def move(self, number: int, state: TrialState, words: str) -> None:
        """Change the state of a trial, and say why. StateError where the table has no way."""
        with self._database.begin() as db:
            present = db.scalar(select(trials.c.state).where(trials.c.number == number))
            if present is None:
                raise NotFoundError(f"no trial {number}", "see: perennial versions")
            if state not in TRIAL_TRANSITIONS[TrialState(present)]:
                raise StateError(
                    f"trial {number} is {present} and cannot become {state}",
                    "see: perennial versions",
                )
            ended = None if state in OPEN else moment(utc_now())
            db.execute(
                update(trials)
                .where(trials.c.number == number)
                .values(state=state, words=words, ended_at=ended)
            )

    def get(self, number: int) -> Trial:
        """One trial. Raises NotFoundError."""
        found = self._read(_all().where(trials.c.number == number))
        if not found:
            raise NotFoundError(f"no trial {number}", "see: perennial versions")
        return found[0]

    def canary(self) -> Trial | None:
        """The canary that takes threads now, if any."""
        running = trials.c.state == TrialState.RUNNING
        found = self._read(_all().where(running, trials.c.kind == "canary"))
        return found[0] if found else None

    def open(self) -> list[Trial]:
        """Those that run, or whose harm is still to be acted on, oldest first."""
        return self._read(_all().where(trials.c.state.in_(OPEN)))

    def _read(self, query: Select[Any, Any, Any, Any]) -> list[Trial]:
        with self._database.read() as db:
            return [_trial(row) for row in db.execute(query.order_by(trials.c.number))]

    def list(self) -> list[Trial]:
        """All trials, oldest first."""
        return self._read(_all())


def _all() -> Select[Any, Any, Any, Any]:
    return select(trials.c.record, trials.c.state, trials.c.words, trials.c.ended_at)


def _trial(row: Row[Any, Any, Any, Any]) -> Trial:
    ended = aware(row.ended_at) if row.ended_at else None
    return unpack(Trial, row.record, state=row.state, words=row.words, ended_at=ended)
