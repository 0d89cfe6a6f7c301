"""The live log of a training run: a JSON line per step, and whoever listens.

Written by adapt.loki.implant and adapt.loki.training, read by the learning page.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from store.files import write_atomic

Progress = Callable[[dict[str, Any]], None]
"""Told `done`, `total` and `text`; after a step also what the log gets."""


class StepLog:
    """One JSON line per step, in a file that can be followed while the run goes on."""

    def __init__(self, path: Path | None, done: int, progress: Progress | None) -> None:
        self.path, self.progress = path, progress
        if path:
            # Steps after the checkpoint are run again; twice in the log they would mislead.
            lines = path.read_text().splitlines(keepends=True)[:done] if path.is_file() else []
            write_atomic(path, "".join(lines))

    def write(self, step: int, steps: int, loss: float, tokens_per_second: float) -> None:
        """Append one step and tell the listener."""
        entry = {
            "step": step,
            "steps": steps,
            "loss": round(loss, 6),
            "tokens_per_second": round(tokens_per_second),
        }
        if self.path:
            with self.path.open("a") as file:
                file.write(json.dumps(entry) + "\n")
        if self.progress:
            text = f"loss {loss:.3f}, {tokens_per_second:.0f} tokens/s"
            self.progress({"done": step, "total": steps, "text": text, **entry})


def read_steps(path: Path) -> list[dict[str, Any]]:
    """The steps of a log so far, which may be growing; empty where there is none."""
    try:
        lines = path.read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    # The last line may be half written.
    return [json.loads(line) for line in lines if line.endswith("\n")]
