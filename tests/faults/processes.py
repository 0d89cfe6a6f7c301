"""Starts the processes of these tests quickly: forked from one that has imported what they need.

Each is a process of its own, with its own locks and its own death. A server process is forked
once, before any thread or event loop exists in it. Called by the tests of this folder.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LONG_S = 300.0
"""Nothing here takes nearly as long; a test that hangs fails."""

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "faults.cycle_process",
        "faults.assistant_process",
        "worker_home",
        "adapt.exact",
        "store.restore",
    ]
)


def start(work: Callable[..., object], *arguments: Any) -> BaseProcess:
    """A process that does `work`, on one thread of arithmetic as the driver's."""
    # Read by the server when it starts: it finds the modules by it, and hands it on.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    os.environ["OMP_NUM_THREADS"] = "1"
    process = _FORKS.Process(target=work, args=arguments)
    process.start()
    return process


def ended(process: BaseProcess) -> int:
    """Wait for the end; the exit code, negative for a signal."""
    process.join(LONG_S)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"{process.name} did not end within {LONG_S:g} s")
    return process.exitcode


def finished(work: Callable[..., object], *arguments: Any) -> int:
    """Run `work` in a process to its end; the exit code."""
    return ended(start(work, *arguments))


KILLED = -signal.SIGKILL
