"""Results of single runs in a file of JSON lines, so that a study that was stopped goes on.

A run is known by all that decides it; a line once written stays. Called by adapt.reproduce.loki.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from store.errors import ModelError
from store.records import digest_of

Result = dict[str, Any]


class Ledger:
    """The runs of one study."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[str, Result] = {}
        self._read()

    def run(self, facts: Result, work: Callable[[], Result]) -> Result:
        """The result of the run with these `facts`, from the file or from `work()` and written."""
        key = digest_of(facts)[:16]
        if key not in self._found:
            # Another process may have done it since: studies of other arms share a file.
            self._read()
        if key not in self._found:
            entry = {"key": key, **facts, **work()}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            whole = not self.path.is_file() or self.path.read_bytes()[-1:] in (b"", b"\n")
            with self.path.open("a") as file:
                file.write(("" if whole else "\n") + json.dumps(entry) + "\n")
            self._found[key] = entry
        return self._found[key]

    def _read(self) -> None:
        lines = self.path.read_text().splitlines() if self.path.is_file() else []
        for number, line in enumerate(lines, 1):
            if not line.endswith("}"):
                # Half a line is what a killed run leaves; that run is worked again.
                continue
            try:
                entry = json.loads(line)
                self._found[entry["key"]] = entry
            except (ValueError, TypeError, KeyError) as error:
                raise ModelError(
                    f"{self.path} line {number} is no result: {error}",
                    "remove the line, or the file",
                ) from error
