"""Benchmarks that anyone can run again: `perennial bench NAME`. Each measures and checks a claim.

A benchmark is a function `run(progress) -> dict` of plain JSON: what it measured, with `rows` (a
list of flat dicts) where a table shows it best. `progress(text)` replaces the moving line. Nothing
here decides anything; the modules load torch, this one does not. Called by adapt.commands.bench.
"""

import importlib
from collections.abc import Callable
from typing import Any

from store.errors import NotFoundError

Progress = Callable[[str], None]
Benchmark = Callable[[Progress], dict[str, Any]]

BENCHMARKS = {
    "kva": "adapt.bench.kva:run",
    "kva-pico": "adapt.bench.kva:run_pico",
    "implant": "adapt.bench.implant:run",
    "eval": "adapt.bench.evals:run",
}
"""Name -> "module:function"."""


def find_benchmark(name: str) -> Benchmark:
    """The function behind a name. NotFoundError lists the names."""
    if name not in BENCHMARKS:
        raise NotFoundError(f"no benchmark {name!r}", f"there are: {', '.join(BENCHMARKS)}")
    module, _, function = BENCHMARKS[name].partition(":")
    return getattr(importlib.import_module(module), function)
