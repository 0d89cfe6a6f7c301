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
        if not path.is_file():
            return
        *lines, last = path.read_text().split("\n")
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                self._found[entry["key"]] = entry
            except (ValueError, TypeError, KeyError) as error:
                raise ModelError(
                    f"{path} line {number} is no result: {error}", "remove the line, or the file"
                ) from error
        if last:
            # Half a line is what a killed run leaves; what comes next must not be glued to it.
            path.write_text("".join(line + "\n" for line in lines))

    def run(self, facts: Result, work: Callable[[], Result]) -> Result:
        """The result of the run with these `facts`, from the file or from `work()` and written."""
        key = digest_of(facts)[:16]
        if key not in self._found:
            entry = {"key": key, **facts, **work()}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps(entry) + "\n")
            self._found[key] = entry
        return self._found[key]
