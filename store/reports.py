"""Eval and gate reports: the evidence behind every version. Written once, never changed.

Making them is adapt/evals' and adapt/gate's business. Called by the cycle and the command line.
"""

from sqlalchemy import insert, select

from store.database import Database
from store.errors import NotFoundError
from store.evidence import EvalReport, GateReport
from store.tables import eval_reports, gate_reports, moment, pack, unpack


class Reports:
    """The tables of reports, by digest."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_eval(self, report: EvalReport) -> bool:
        """Store an eval report; False when its digest is already stored."""
        with self._database.begin() as db:
            known = select(eval_reports.c.digest).where(eval_reports.c.digest == report.digest)
            if db.scalar(known):
                return False
            db.execute(
                insert(eval_reports).values(
                    digest=report.digest,
                    version=report.version,
                    suite=report.suite,
                    created_at=moment(report.created_at),
                    record=pack(report),
                )
            )
        return True

    def get_eval(self, digest: str) -> EvalReport:
        """One eval report. Raises NotFoundError."""
        query = select(eval_reports.c.record).where(eval_reports.c.digest == digest)
        with self._database.read() as db:
            row = db.scalar(query)
        if row is None:
            raise NotFoundError(f"no eval report {digest!r}", "a gate report lists its digests")
        return unpack(EvalReport, row)

    def evals(self) -> list[tuple[str, str, str]]:
        """Digest, version and suite of every eval report, oldest first."""
        query = select(eval_reports.c.digest, eval_reports.c.version, eval_reports.c.suite)
        order = (eval_reports.c.created_at, eval_reports.c.digest)
        with self._database.read() as db:
            return [(row[0], row[1], row[2]) for row in db.execute(query.order_by(*order))]

    def evals_of(self, version: str) -> list[EvalReport]:
        """All eval reports of a version name, oldest first."""
        query = select(eval_reports.c.record).where(eval_reports.c.version == version)
        order = (eval_reports.c.created_at, eval_reports.c.digest)
        with self._database.read() as db:
            return [unpack(EvalReport, row) for row in db.scalars(query.order_by(*order))]

    def add_gate(self, report: GateReport) -> bool:
        """Store a gate report; False when its digest is already stored."""
        with self._database.begin() as db:
            known = select(gate_reports.c.digest).where(gate_reports.c.digest == report.digest)
            if db.scalar(known):
                return False
            db.execute(
                insert(gate_reports).values(
                    digest=report.digest,
                    candidate=report.candidate,
                    created_at=moment(report.created_at),
                    record=pack(report),
                )
            )
        return True

    def get_gate(self, digest: str) -> GateReport:
        """One gate report. Raises NotFoundError."""
        query = select(gate_reports.c.record).where(gate_reports.c.digest == digest)
        with self._database.read() as db:
            row = db.scalar(query)
        if row is None:
            raise NotFoundError(f"no gate report {digest!r}", "the cycle's gate stage names it")
        return unpack(GateReport, row)

    def gates(self) -> list[GateReport]:
        """All gate reports, oldest first."""
        query = select(gate_reports.c.record)
        order = (gate_reports.c.created_at, gate_reports.c.digest)
        with self._database.read() as db:
            return [unpack(GateReport, row) for row in db.scalars(query.order_by(*order))]

    def gate_of(self, candidate: str) -> GateReport | None:
        """The newest gate report on a version name, None when it was never judged."""
        query = select(gate_reports.c.record).where(gate_reports.c.candidate == candidate)
        order = (gate_reports.c.created_at.desc(), gate_reports.c.digest)
        with self._database.read() as db:
            row = db.scalar(query.order_by(*order).limit(1))
        return None if row is None else unpack(GateReport, row)
