"""How long the store takes when it is full: 10,000 versions, 1,000,000 documents.

Looks up the live version as the assistant does once per run, against the bare SQL on the same
database, and does a cycle's bookkeeping over a million documents, each step in a process of its
own, so that its memory is its own. On SQLite and, where this machine has its programs, on a
PostgreSQL server of its own that waits for the disk as usual. Rows that are only there to be many
are copied inside the database. `documents=` makes it smaller. Called by `perennial bench store`.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

import psycopg
from sqlalchemy import insert, text

from adapt.bench.postgres import temporary_server
from adapt.bench.store_cycle import NEW, Place, cycle_rows, open_store
from store import Home, Store
from store.alias import Flip
from store.errors import NotFoundError
from store.records import Probe, Version, VersionState, digest_of
from store.tables import flips, pack, versions

VERSIONS = 10_000
DOCUMENTS = 1_000_000
LOOKUPS = 20_000
_MANY = 1000
_NOW = datetime(2026, 1, 1, tzinfo=UTC)

Progress = Callable[[str], None]


def run(progress: Progress, documents: int = DOCUMENTS) -> dict[str, Any]:
    """Rows of `lookups` (ms by the clock, and of this process's own time, which other work on the
    machine does not change) and of `cycle` (seconds, and MB that the process took at its most)."""
    lookups: list[dict[str, Any]] = []
    cycle: list[dict[str, Any]] = []
    without = ""
    with tempfile.TemporaryDirectory(prefix="store-") as folder:
        for name, opened in (("sqlite", _file), ("postgresql", _server)):
            try:
                with opened(Path(folder)) as (place, shown):
                    progress(f"{name}: {VERSIONS} versions")
                    lookups += [{"database": shown, **row} for row in _lookups(place)]
                    for row in cycle_rows(
                        place, documents, lambda t, name=name: progress(f"{name}: {t}")
                    ):
                        cycle.append({"database": shown, **row})
            except NotFoundError as error:
                without = str(error)
    worst = max(row["p99_ms"] for row in lookups if row["what"] == "live version")
    found = {
        "load": round(os.getloadavg()[0], 1),
        "versions": VERSIONS, "documents": documents, "new_documents": NEW,
        "live_lookup_p99_ms": worst, "wanted_p99_ms": 1.0, "fast_enough": worst <= 1.0,
        "lookups": lookups, "cycle": cycle,
    }  # fmt: skip
    return found | ({"without": without} if without else {})


@contextmanager
def _file(folder: Path) -> Iterator[tuple[Place, str]]:
    yield (folder / "sqlite", None), "SQLite"


@contextmanager
def _server(folder: Path) -> Iterator[tuple[Place, str]]:
    with temporary_server() as server:
        yield (folder / "postgresql", server.url()), f"PostgreSQL {server.version}"


def _lookups(place: Place) -> list[dict[str, Any]]:
    with open_store(place) as store:
        _fill_versions(store)
        store.versions.roll_back()

        def flip() -> None:
            store.versions.go_live(names[flip_to.pop()])

        names = [version_of(number).name for number in (VERSIONS - 2, VERSIONS - 1)]
        flip_to = [0, 1] * 100
        with _bare_lookup(place) as bare:
            rows = [
                _timed("live version", store.versions.live, LOOKUPS),
                _timed("the same by the driver alone", bare, LOOKUPS),
            ]
        rows += [
            _timed("version by name", lambda: store.versions.get(names[0]), LOOKUPS // 10),
            _timed("what a roll back leads to", store.versions.before_live, 100),
            _timed("flip of the alias", flip, 200),
        ]
    return rows


@contextmanager
def _bare_lookup(place: Place) -> Iterator[Callable[[], object]]:
    """The row of the live version by the driver of the database, without anything of ours."""
    query = (
        "SELECT record, state FROM versions JOIN aliases ON aliases.version = versions.name "
        "WHERE aliases.name = 'live'"
    )
    folder, url = place
    if url is None:
        with closing(sqlite3.connect(Home(folder).database, isolation_level=None)) as file:
            yield lambda: file.execute(query).fetchone()
    else:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
            yield lambda: server.execute(query).fetchone()


def _timed(what: str, ask: Callable[[], object], times: int) -> dict[str, Any]:
    taken: list[float] = []
    own: list[float] = []
    for _ in range(times):
        began, spent = time.perf_counter(), time.thread_time()
        ask()
        taken.append(1000 * (time.perf_counter() - began))
        own.append(1000 * (time.thread_time() - spent))
    cuts, own_cuts = quantiles(taken, n=100), quantiles(own, n=100)
    return {
        "what": what,
        "times": times,
        "p50_ms": cuts[49],
        "p99_ms": cuts[98],
        "max_ms": max(taken),
        "p50_cpu_ms": own_cuts[49],
        "p99_cpu_ms": own_cuts[98],
    }


def version_of(number: int) -> Version:
    """A version with a probe of the usual size."""
    digest = digest_of(number)
    probe = Probe(
        prompts=tuple("x" * 200 for _ in range(4)),
        token_ids=tuple((1, 2, 3, 4, 5) for _ in range(4)),
        logprobs=tuple((-0.123456789, -1.2, -3.4, -5.6, -7.8) for _ in range(4)),
    )
    return Version(
        name=f"v{number}-{digest[:6]}", number=number, digest=digest, kind="adapter",
        base_digest="b" * 64, template_digest="t" * 64, path=digest, probe=probe,
        state=VersionState.PROMOTED, created_at=_NOW,
    )  # fmt: skip


def _fill_versions(store: Store) -> None:
    """All versions, each once live and retired by the next, as their years would leave them."""
    made = [version_of(number) for number in range(VERSIONS)]
    for some in _batches(made):
        with store.database.begin() as db:
            db.execute(insert(versions), [
                {
                    "name": v.name, "number": v.number, "digest": v.digest,
                    "state": VersionState.RETIRED, "update_digest": None,
                    "record": pack(v, without=("state",)),
                }
                for v in some
            ])  # fmt: skip
    pairs = zip([None, *(v.name for v in made)], made[:-1], strict=False)
    turns = [Flip(kind="go_live", version=v.name, previous=p, at=_NOW) for p, v in pairs]
    for some in _batches(turns):
        with store.database.begin() as db:
            db.execute(insert(flips), [
                {"kind": f.kind, "version": f.version, "previous": f.previous, "record": pack(f)}
                for f in some
            ])  # fmt: skip
    with store.database.begin() as db:
        db.execute(text("INSERT INTO aliases VALUES ('live', :name)"), {"name": made[-2].name})
        db.execute(text("UPDATE versions SET state = 'live' WHERE name = :name"),
                   {"name": made[-2].name})  # fmt: skip
    store.versions.go_live(made[-1].name)


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _MANY):
        yield items[start : start + _MANY]
