"""Memory and open files of every process of a running Perennial, swap after swap.

Reads and counts only. Called by adapt.bench.soak.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil

from adapt.runtime import Runtime
from agent.serve_supervisor import Supervisor

SETTLED = 5
"""Swaps after which a process has all the memory that it should ever have."""


@dataclass
class Process:
    """What one process took at each look."""

    name: str
    pid: int
    bytes: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Its level after the fifth swap (of one that was started since: after its own fifth), and
        the most that it took later over that."""
        settled, later = self.bytes[:SETTLED][-1], self.bytes[SETTLED:]
        found: dict[str, Any] = {
            "process": self.name, "pid": self.pid, "looks": len(self.bytes),
            "mib_first": round(self.bytes[0] / 2**20, 1), "mib_settled": round(settled / 2**20, 1),
            "mib_last": round(self.bytes[-1] / 2**20, 1),
            "files_settled": self.files[:SETTLED][-1], "files_max": max(self.files),
        }  # fmt: skip
        # Without a look behind the level nothing is known of growth.
        found["growth"] = round(max(later) / settled, 4) if later else None
        return found


class Processes:
    """Ours, and those of each engine that we started."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: dict[tuple[int, float], Process] = {}

    def look(self) -> None:
        """Note what each takes now."""
        for name, process in self._all():
            try:
                with process.oneshot():
                    key = (process.pid, process.create_time())
                    taken, files = process.memory_info().rss, process.num_fds()
            except psutil.NoSuchProcess:
                continue
            known = self._known.setdefault(key, Process(name, process.pid))
            known.bytes.append(taken)
            known.files.append(files)

    def rows(self) -> list[dict[str, Any]]:
        """One of each process, the oldest first."""
        return [process.row() for process in self._known.values()]

    def _all(self) -> Iterator[tuple[str, psutil.Process]]:
        yield "perennial", psutil.Process(os.getpid())
        for supervisor in self._runtime.engines.supervisors:
            if not isinstance(supervisor, Supervisor) or supervisor.process.pid is None:
                continue
            name = supervisor.member.name
            try:
                first = psutil.Process(supervisor.process.pid)
                tree = [first, *first.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            yield from ((f"{name}/{place}", process) for place, process in enumerate(tree))
