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

    def __call__(self, most: int) -> Json:
        """`rows`: one for each suite of the `most` newest versions that were examined, oldest
        version first. `versions`: how many were examined at all.

        A version is asked `learned` and `kept` again, with other questions, when it is live and
        another is tried: what counts is its own examination, which is the first.
        """
        numbers = {v.name: v.number for v in self._store.versions.list()}
        found = [each for each in self._store.reports.evals() if each[1] in numbers]
        examined = sorted({version for _, version, _ in found}, key=lambda name: numbers[name])
        shown = set(examined[-most:])
        rows: dict[tuple[str, str], Json] = {}
        for digest, version, suite in found:
            if version not in shown:
                continue
            row = self._known.get(digest) or self._read(digest)
            first = rows.setdefault((version, suite), row)
            # The same questions again, after asking had stopped early: the whole says more.
            if row["asked"] == first["asked"] and row["items"] > first["items"]:
                rows[version, suite] = row
        return {
            "rows": sorted(rows.values(), key=lambda r: (numbers[r["version"]], r["suite"])),
            "versions": len(examined),
        }  # fmt: skip

    def _read(self, digest: str) -> Json:
        report = self._store.reports.get_eval(digest)
        whole, *slices = eval_rows([report])
        self._known[digest] = row = {
            **whole, "version": report.version, "asked": report.suite_digest, "slices": slices,
        }  # fmt: skip
        return row
