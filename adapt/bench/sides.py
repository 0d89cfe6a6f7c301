"""One model in a process of its own, which times what it is asked to: a side of a comparison.

Each side has its process, so that its highest memory is its own, and both stay alive, so that
their runs can take turns: what else the machine does then falls on both. Called by adapt.bench.kva.
"""

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from adapt.stage import MEMORY, die_with_parent

_model: list[Any] = []
"""The one of this process."""


@dataclass(frozen=True)
class Timed:
    """What a run gave, and took."""

    value: Any
    seconds: float
    """Of the processor: with one thread, other work on the machine hardly changes them."""
    peak_mb: float
    """Highest resident memory (VmHWM) of the process during the run, the model included."""


class Side:
    """A process with a model. Use it as a context."""

    def __init__(self, load: Callable[[], Any]) -> None:
        """`load` must pickle by name."""
        for name, value in MEMORY.items():
            # Read when a process starts: sides have what the children of stages have.
            os.environ.setdefault(name, value)
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, context, _begin, (os.getpid(), load))

    def __enter__(self) -> "Side":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def run(self, work: Callable[..., Any], *arguments: Any) -> Timed:
        """`work(model, *arguments)` in that process."""
        return self._pool.submit(_run, work, arguments).result()


def _begin(parent: int, load: Callable[[], Any]) -> None:
    die_with_parent(parent)
    _model[:] = [load()]


def _run(work: Callable[..., Any], arguments: tuple[Any, ...]) -> Timed:
    # Without this the peak would be that of any run before.
    Path("/proc/self/clear_refs").write_text("5")
    began = time.process_time()
    value = work(_model[0], *arguments)
    seconds = time.process_time() - began
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return Timed(value, seconds, int(peak.split()[1]) / 1024)
