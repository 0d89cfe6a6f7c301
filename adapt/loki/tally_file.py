"""Sums of an attribution under way, on disk: whole by their digest or not used, and of one
computation only.

Called by adapt.loki.attribution. It adds up nothing.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from adapt.loki.scores import TABLES, Tally
from store.files import write_atomic

_EVERY_S = 10.0


class TallyFile:
    """The file of one computation; without a path it keeps nothing."""

    def __init__(self, path: Path | None, identity: str) -> None:
        self.path, self.identity = path, identity
        self._written: tuple[float, int] = (time.monotonic(), -1)

    def read(self) -> tuple[Tally, int] | None:
        """The sums and the number of batches in them, if they are of this computation."""
        if self.path is None:
            return None
        try:
            with safe_open(self.path, "numpy") as file:
                facts = json.loads(file.metadata()["state"])
                # Tables of read files cannot be added to.
                tables = {name: file.get_tensor(name).copy() for name in TABLES}
            if facts["identity"] != self.identity or facts["digest"] != _digest(tables):
                return None
            self._written = (time.monotonic(), facts["batches"])
            return Tally(tables, facts["samples"]), facts["batches"]
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            # Whatever else is there is damaged or not of this computation, and is replaced.
            return None

    def write_sometimes(self, tally: Tally, batches: int) -> None:
        """Write unless it was written in the last 10 s."""
        if time.monotonic() - self._written[0] >= _EVERY_S:
            self.write(tally, batches)

    def write(self, tally: Tally, batches: int) -> None:
        """Write the sums of the first `batches` batches."""
        if self.path is None or batches in (0, self._written[1]):
            return
        facts = {
            "identity": self.identity, "batches": batches, "samples": tally.samples,
            "digest": _digest(tally.tables),
        }  # fmt: skip
        write_atomic(self.path, save(tally.tables, {"state": json.dumps(facts, sort_keys=True)}))
        self._written = (time.monotonic(), batches)


def _digest(tables: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the sums."""
    found = hashlib.sha256()
    for name in TABLES:
        found.update(np.ascontiguousarray(tables[name]).tobytes())
    return found.hexdigest()
