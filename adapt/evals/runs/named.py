"""Every suite by the name that the command line has for it: those of a home, and published ones.

Builds suites and asks nothing. Called by `perennial eval`.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adapt.evals import benchmarks
from adapt.evals.benchmarks import Loader
from adapt.evals.items import Suite
from adapt.evals.sampling import sampled
from adapt.evals.suites import (
    PICO_SIZES,
    general_suite,
    kept_base_suite,
    pico_suites,
    tools_suite,
)
from store.errors import ConfigError, NotFoundError, PerennialError

SEED, ITEMS = 1, 200
"""The seed differs from the gate's: no version was ever chosen by these items."""
PICO = "pico"
"""The benchmark of the embedded model, in parts: `pico` is all of them, `pico/single` is one."""
_OWN = {"tools": tools_suite, "general": general_suite, "kept": kept_base_suite}
_ABOUT = {
    PICO: "what the embedded model is measured by: tasks on unseen APIs, facts, small abilities",
    "tools": "tasks on APIs with four functions offered; end state and answer are judged",
    "general": "small abilities with one right answer, exact match",
    "kept": "what the embedded model knows by heart: facts, and calls of APIs shown by name",
}


@dataclass(frozen=True)
class Named:
    """A suite and its name on the command line."""

    label: str
    suite: Suite


@dataclass(frozen=True)
class Part:
    """Which items of a suite: the first `limit`, a `sample` of so many, or all."""

    limit: int | None = None
    sample: int | None = None
    loaders: Mapping[str, Loader] = field(default_factory=dict)
    """How a published suite is read, where it is not as its benchmark says."""


@dataclass(frozen=True)
class Listed:
    """A line of the list of suites."""

    name: str
    kind: str
    """`home` or `published`."""
    about: str
    items: int | None = None
    """None where its files are not there."""
    trouble: str = ""
    """Why it cannot be asked."""


def suites_named(names: Sequence[str], data: Path, part: Part = Part()) -> list[Named]:
    """The suites behind names, each once.

    NotFoundError for a name that there is not, and for a published one without files in `data`.
    """
    check_names(names)
    found: dict[str, Named] = {}
    for name in names:
        for one in _suites(name, data, part):
            found.setdefault(one.label, one)
    return list(found.values())


def check_names(names: Sequence[str]) -> None:
    """NotFoundError for a name that there is not."""
    for name in names:
        if name not in known_names():
            near = difflib.get_close_matches(name, known_names(), n=3, cutoff=0.5)
            ways = f"did you mean {' or '.join(near)}?" if near else "perennial eval list"
            raise NotFoundError(f"no suite {name!r}", ways)


def known_names() -> list[str]:
    """All names: whole suites, parts of `pico`, published benchmarks."""
    return [PICO, *(f"{PICO}/{part}" for part in PICO_SIZES), *_OWN, *benchmarks.names()]


def _suites(name: str, data: Path, part: Part) -> Iterator[Named]:
    if name in _OWN:
        yield Named(name, _cut(_OWN[name](SEED, part.limit or ITEMS), part))
    elif name in benchmarks.names():
        suite = benchmarks.suite_of(name, data, part.limit, part.loaders.get(name))
        if not suite.items:
            raise ConfigError(f"the files of {name} in {data} hold no items", "get them again")
        yield Named(name, _cut(suite, part))
    else:
        for one in pico_suites(SEED, ITEMS):
            label = f"{PICO}/{one.name}"
            if name in (PICO, label):
                yield Named(label, _cut(one, part))


def _cut(suite: Suite, part: Part) -> Suite:
    items = suite.items[: part.limit]
    return Suite(name=suite.name, items=tuple(sampled(items, part.sample)))


def list_suites(data: Path) -> Iterator[Listed]:
    """All suites; files of published ones are read to count their items."""
    pico = sum(size * ITEMS // PICO_SIZES["single"] for size in PICO_SIZES.values())
    for name, about in _ABOUT.items():
        yield Listed(name, "home", about, pico if name == PICO else ITEMS)
    for name in benchmarks.names():
        about = benchmarks.find(name).about
        try:
            items = len(benchmarks.suite_of(name, data).items)
        except PerennialError as error:
            yield Listed(name, "published", about, trouble=error.message)
        else:
            yield Listed(name, "published", about, items)
