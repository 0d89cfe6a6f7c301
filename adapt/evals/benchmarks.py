"""Published benchmarks: how their files become suites, and the reply that each item wants.

A loader reads the published files as they are and gives every item with a reply that must pass
(the gold). Nothing is asked here. Loaders are in adapt.evals.published, one module each, imported
when their benchmark is. Called by `perennial eval` and by adapt.evals.selfchecking.selfcheck.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from adapt.evals.items import Item, Suite
from store.errors import ConfigError, NotFoundError

MODULES: dict[str, str] = {
    "bfcl": "bfcl",
    "acebench": "acebench",
    "sealtools": "sealtools",
    "apibank": "apibank",
    "toolalpaca": "toolalpaca",
    "restbench": "restbench",
    "nestful": "nestful",
    "metatool": "metatool",
    "stabletoolbench": "stabletoolbench",
    "squad": "squad",
    "mmlu": "mmlu",
    "gsm8k": "gsm8k",
    "bbh": "bbh",
    "ifeval": "ifeval",
}
"""Module of adapt.evals.published by the benchmark's name; each has a `BENCHMARK`."""


@dataclass(frozen=True)
class Gold:
    """What a model that is right would reply: words, or calls in order.

    For items of several turns, `turns` has the calls of each.
    """

    content: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    turns: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Case:
    """An item and its gold."""

    item: Item
    gold: Gold


Loader = Callable[[Path], Iterable[Case]]
"""Reads a folder of files into cases, in their order."""


@dataclass(frozen=True)
class Benchmark:
    """One published benchmark. `load` reads its folder of files, in their order."""

    name: str
    about: str
    """One line: what it asks, and how it is scored."""
    load: Loader
    folder: str = ""
    """Folder of its files under the data folder, where it is not called as the benchmark."""
    exceptions: Mapping[str, str] = field(default_factory=dict)
    """Items (by name) that their own gold does not pass, and why."""


def names() -> list[str]:
    """All benchmarks, in the order of the list."""
    return list(MODULES)


def find(name: str) -> Benchmark:
    """A benchmark by name. NotFoundError lists the names."""
    if name not in MODULES:
        raise NotFoundError(f"no benchmark {name!r}", f"there are: {', '.join(MODULES)}")
    return import_module(f"adapt.evals.published.{MODULES[name]}").BENCHMARK


def folder_of(name: str, data: Path) -> Path:
    """The folder of a benchmark's files under `data`. NotFoundError where there is none."""
    folder = data / (find(name).folder or name)
    if not folder.is_dir():
        raise NotFoundError(
            f"there are no files of {name} in {data}",
            "get them from the benchmark's repository, or give the folder above them as --data",
        )
    return folder


def cases(
    name: str, data: Path, limit: int | None = None, load: Loader | None = None
) -> Iterator[Case]:
    """The items of a benchmark with their gold; the first `limit`. `load` is instead of its own.

    ConfigError where two items have one name.
    """
    seen: set[str] = set()
    for case in islice((load or find(name).load)(folder_of(name, data)), limit):
        if case.item.name in seen:
            raise ConfigError(f"{name} has two items {case.item.name!r}", "mend its files")
        seen.add(case.item.name)
        yield case


def suite_of(name: str, data: Path, limit: int | None = None, load: Loader | None = None) -> Suite:
    """A benchmark as a suite; items that ask and want the same are in it once."""
    distinct = {case.item.digest: case.item for case in cases(name, data, limit, load)}
    return Suite(name=name, items=tuple(distinct.values()))


def by_slice(items: Iterable[Item]) -> dict[str, int]:
    """Numbers of items by slice, in the order of the items."""
    counts: dict[str, int] = {}
    for item in items:
        counts[item.slice] = counts.get(item.slice, 0) + 1
    return counts
