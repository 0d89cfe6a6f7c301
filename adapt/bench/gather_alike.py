"""How fast near duplicates are found, how well, and in how much memory: a part of `bench gather`.

Each size has processes of its own, so that memory is its own: they hold as many sketches as there
are documents, and look for the duplicates among further, made-up ones. datasketch's own index holds
the same sketches for comparison. Called by adapt.bench.gather.
"""

import base64
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from adapt.bench.gather_made import Made, made_documents
from store import Home, Store
from store.duplicates import PERMUTATIONS, Buckets, groups_of, same_text, sketch_of
from store.embeddings import HashEmbedder

SIZES = (10_000, 100_000, 300_000, 1_000_000)
NEAR = 0.9
DETECTED = 5_000
"""Documents that each process looks at."""
STORED = 10_000
"""Documents that are taken into a store."""
PLAIN = 20_000
"""Documents in datasketch's own index: a million would take gigabytes."""
_AT_ONCE = 200
_FILLED = 10_000
"""Sketches at a time, as store.taking reads them."""

Progress = Callable[[str], None]


def run_alike(
    progress: Progress, sizes: tuple[int, ...] = SIZES, detected: int = DETECTED,
    stored: int = STORED, plain: int = PLAIN,
) -> dict[str, Any]:  # fmt: skip
    """Rows of `detection` by size, the slope of memory, and what a store found.

    The rate that counts is that of two processes in their own processor time, which other work on
    the machine does not change; the rows have it by the clock too.
    """
    rows: list[dict[str, Any]] = []
    for size in sizes:
        progress(f"near duplicates among {size} documents")
        rows.append(_at_size(size, detected))
    progress("documents into a store")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        taken = pool.apply(_stored, (stored,))
        progress("datasketch's own index")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        beside = pool.apply(_plain, (plain,))
    small, large = rows[0], rows[-1]
    grown = large["documents"] - small["documents"]
    slope = (large["held_mb"] - small["held_mb"]) * (1 << 20) / max(grown, 1)
    slowest = min(row["two_processes_per_cpu_second"] for row in rows)
    return {
        "load": round(os.getloadavg()[0], 1),
        "near_duplicates_per_second": slowest, "wanted_per_second": 2000,
        "fast_enough": slowest >= 2000, "memory_bytes_per_document": round(slope),
        "detection": rows, "taken": [taken], "datasketch_own_index": [beside],
    }  # fmt: skip


def _at_size(size: int, detected: int) -> dict[str, Any]:
    """One process, then two at once, as two cores have: each with all sketches."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        one = pool.apply(_detect, (size, 0, detected))
    with multiprocessing.get_context("spawn").Pool(2, maxtasksperchild=1) as pool:
        both = pool.starmap(_detect, [(size, n * detected, detected) for n in (1, 2)], 1)
    return {
        "documents": size, **{k: one[k] for k in ("held_mb", "peak_mb", "fill_seconds")},
        "one_process_per_second": one["per_second"],
        "two_processes_per_second": sum(side["per_second"] for side in both),
        "two_processes_per_cpu_second": sum(side["per_cpu_second"] for side in both),
        "recall": one["recall"], "false_positives": one["false_positives"],
    }  # fmt: skip


def _detect(size: int, first: int, count: int) -> dict[str, Any]:
    made = list(made_documents(first, count))
    buckets, before = Buckets(NEAR), _memory_mb()
    # What keys and groups need the first time is no part of it.
    buckets.keys([sketch_of(groups_of("some words to begin with"))])
    began = time.perf_counter()
    for start in range(0, size, _FILLED):
        buckets.add(range(start + 1, start + _FILLED + 1), _random_sketches(start, _FILLED))
    filled = time.perf_counter() - began
    held = _memory_mb() - before
    began, spent = time.perf_counter(), time.process_time()
    said = _find(buckets, made)
    spent, seconds = time.process_time() - spent, time.perf_counter() - began
    return _scored(made, said) | {
        "held_mb": held, "peak_mb": _peak_mb() - before, "fill_seconds": filled,
        "per_second": count / seconds, "per_cpu_second": count / spent,
    }  # fmt: skip


def _find(buckets: Buckets, made: list[Made]) -> dict[str, str]:
    """As store.taking does it, without a database: which says what another says."""
    said: dict[str, str] = {}
    beside: dict[int, list[int]] = {}
    groups = []
    for start in range(0, len(made), _AT_ONCE):
        some = made[start : start + _AT_ONCE]
        own = [groups_of(one.document.text) for one in some]
        groups += own
        keys = buckets.keys([sketch_of(one) for one in own])
        buckets.find(keys)
        for place, row in enumerate(keys.tolist(), start):
            others = sorted({other for key in row for other in beside.get(key, [])})
            for other in others:
                if same_text(groups[place], groups[other], NEAR) is not None:
                    said[made[place].document.digest] = made[other].document.digest
                    break
            else:
                for key in row:
                    beside.setdefault(key, []).append(place)
    return said


def _scored(made: list[Made], said: dict[str, str]) -> dict[str, Any]:
    near = [one for one in made if one.kind == "near"]
    found = sum(said.get(one.document.digest) == one.like for one in near)
    wrong = len(said) - sum(one.document.digest in said for one in near)
    return {"near": len(near), "recall": found / max(len(near), 1), "false_positives": wrong}


def _stored(count: int) -> dict[str, Any]:
    """The whole of it: normal form, language, digests, sketches, editions, rows."""
    began = time.perf_counter()
    made = list(made_documents(0, count))
    making = time.perf_counter() - began
    said: dict[str, str] = {}
    with (
        tempfile.TemporaryDirectory(prefix="gather-") as folder,
        Store.open(Home(Path(folder)), HashEmbedder()) as store,
    ):
        began = time.perf_counter()
        for some in _chunks(made):
            said |= store.documents.take([one.document for one in some], NEAR).near
        seconds = time.perf_counter() - began
    return {
        "documents": count, **_scored(made, said),
        "made_and_normalised_per_second": count / making, "taken_per_second": count / seconds,
    }  # fmt: skip


def _plain(count: int) -> dict[str, Any]:
    """The same sketches in datasketch's MinHashLSH."""
    from datasketch import MinHash, MinHashLSH

    from store.duplicates import bands_of

    before = _memory_mb()
    index = MinHashLSH(num_perm=PERMUTATIONS, params=bands_of(NEAR))
    rows = np.random.default_rng(0).integers(1 << 32, size=(count, PERMUTATIONS), dtype=np.uint32)
    began = time.perf_counter()
    for number, row in enumerate(rows):
        index.insert(number, MinHash(hashvalues=row, scheme="affine32"), check_duplication=False)
    seconds = time.perf_counter() - began
    held = _memory_mb() - before - rows.nbytes / (1 << 20)
    return {
        "documents": count, "memory_bytes_per_document": round(held * (1 << 20) / count),
        "inserted_per_second": count / seconds,
    }  # fmt: skip


def _random_sketches(seed: int, count: int) -> list[str]:
    drawn = np.random.default_rng(seed).integers(
        1 << 32, size=(count, 1 + PERMUTATIONS), dtype=np.uint32
    )
    return [base64.b64encode(row.tobytes()).decode() for row in drawn]


def _chunks(made: list[Made]) -> Iterator[list[Made]]:
    for start in range(0, len(made), _AT_ONCE):
        yield made[start : start + _AT_ONCE]


def _memory_mb() -> float:
    return psutil.Process().memory_info().rss / (1 << 20)


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024
