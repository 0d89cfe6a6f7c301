"""Scores of every version on every suite, with intervals: what the evals page draws.

Reports are large and never change: each is read once and its figures are kept. Called by
adapt.web_actions.
"""

from typing import Any

from adapt.show import eval_rows
from store import Store

Json = dict[str, Any]


class Scores:
    """The figures of one store's reports."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Json] = {}

    def __call__(self) -> list[Json]:
        """One row for each version and suite, the newest whole report of it; oldest version
        first."""
        numbers = {v.name: v.number for v in self._store.versions.list()}
        newest: dict[tuple[str, str], Json] = {}
        for digest, version, suite in self._store.reports.evals():
            if version not in numbers:
                continue
            row = self._known.get(digest) or self._read(digest)
            before = newest.get((version, suite))
            # A report that stopped early says less than one of before that did not.
            if before is None or row["items"] >= before["items"]:
                newest[version, suite] = row
        return sorted(newest.values(), key=lambda row: (numbers[row["version"]], row["suite"]))

    def _read(self, digest: str) -> Json:
        report = self._store.reports.get_eval(digest)
        whole, *slices = eval_rows([report])
        self._known[digest] = row = {
            **whole, "version": report.version, "at": report.created_at, "slices": slices,
        }  # fmt: skip
        return row
