"""Benchmarks that anyone can run again: `perennial bench NAME`. Each measures and checks a claim.

A benchmark is a function `run(progress) -> dict` of plain JSON: what it measured, with `rows` (a
list of flat dicts) where a table shows it best, and `aims` where it is held against some, each with
whether it `holds`. `progress(text)` replaces the moving line; further arguments, all of them
optional, are options of the command. Nothing here decides anything; the modules load torch, this
one does not. Called by adapt.commands.bench.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from store.errors import ConfigError, NotFoundError

Progress = Callable[[str], None]
Benchmark = Callable[..., dict[str, Any]]

BENCHMARKS = {
    "kva": "adapt.bench.kva:run",
    "kva-pico": "adapt.bench.kva:run_pico",
    "implant": "adapt.bench.implant:run",
    "eval": "adapt.bench.evals:run",
    "store": "adapt.bench.store:run",
    "merge": "adapt.bench.merge:run",
    "swap": "adapt.bench.swap:run",
    "soak": "adapt.bench.soak:run",
    "gather": "adapt.bench.gather:run",
    "search": "adapt.bench.search:run",
    "agent": "adapt.bench.agent:run",
    "first": "adapt.bench.first:run",
}
"""Name -> "module:function"."""
OPTIONS = ("minutes", "engines", "kind", "swaps", "agents", "data")
"""What the command line can set, of the benchmarks that take it."""


def find_benchmark(name: str) -> Benchmark:
    """The function behind a name. NotFoundError lists the names."""
    if name not in BENCHMARKS:
        raise NotFoundError(f"no benchmark {name!r}", f"there are: {', '.join(BENCHMARKS)}")
    module, _, function = BENCHMARKS[name].partition(":")
    return getattr(importlib.import_module(module), function)


def all_hold(found: dict[str, Any]) -> bool:
    """Whether all aims of a benchmark hold; true of one that has none."""
    return all(aim["holds"] for aim in found.get("aims", ()))


def refuse_options(name: str, run: Benchmark, given: dict[str, Any]) -> None:
    """ConfigError for an option that a benchmark does not take."""
    taken = [p for p in inspect.signature(run).parameters if p != "progress"]
    for option in given:
        if option not in taken:
            words = ", ".join(f"--{p}" for p in taken if p in OPTIONS) or "no options"
            raise ConfigError(f"the benchmark {name} takes no --{option}", f"it takes: {words}")
