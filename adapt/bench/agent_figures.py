"""Samples of `perennial bench agent` as figures: medians, 99th percentiles and their intervals.

Differences are taken of the same question in the same turn, so that what else the machine did falls
on both sides. Pure. Called by adapt.bench.agent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from adapt.bench.agent_sides import Took

RESAMPLES = 2000
DIRECT, OURS, DEPLOYED, THEIRS = "direct", "agent", "over HTTP", "create_agent"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Turn:
    """One question, asked of all sides."""

    question: str
    stream: bool
    calls: int
    """Calls of the model that its answer takes."""
    took: dict[str, Took]


def rows(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """A row for each way but the direct one, whole answers and streams apart: milliseconds per
    call of the model over the direct call, and of these what the side itself took."""
    made = []
    for stream in (False, True):
        chosen = [turn for turn in turns if turn.stream == stream]
        for way in (OURS, DEPLOYED, THEIRS):
            if not all(way in turn.took for turn in chosen) or not chosen:
                continue
            alone = own(chosen, way)
            made.append(
                {"way": way, "answers": "streamed" if stream else "whole", "runs": len(chosen)}
                | _told("over_ms", over(chosen, way))
                | (_told("own_ms", alone) if alone.size else {})
                | (_told("first_ms", _first(chosen, way)) if stream else {})
            )
    return made


def over(turns: Sequence[Turn], way: str, base: str = DIRECT) -> Floats:
    """How much longer one way took than another, ms per call of the model; [turns]."""
    return _floats((t.took[way].total - t.took[base].total) / t.calls for t in turns)


def own(turns: Sequence[Turn], way: str) -> Floats:
    """What a run took outside its requests to the engine, ms per call of the model."""
    timed = [t for t in turns if t.took[way].spans]
    return _floats((t.took[way].total - t.took[way].engine) / t.calls for t in timed)


def _first(turns: Sequence[Turn], way: str) -> Floats:
    """How much later the first piece of text came than by the direct calls, ms."""
    pairs = [(t.took[way].first, t.took[DIRECT].first) for t in turns]
    return _floats(a - b for a, b in pairs if a is not None and b is not None)


def _floats(seconds: Any) -> Floats:
    return 1000 * np.asarray(list(seconds), dtype=np.float64)


def _told(name: str, samples: Floats) -> dict[str, Any]:
    if not samples.size:
        return {}
    return {
        f"{name}_median": median(samples), f"{name}_median_95": interval(samples, np.median),
        f"{name}_p99": float(np.percentile(samples, 99)),
        f"{name}_p99_95": interval(samples, _p99),
    }  # fmt: skip


def median(samples: Floats) -> float:
    """The median."""
    return float(np.median(samples))


def interval(samples: Floats, of: Callable[..., Any]) -> list[float] | None:
    """The 95% interval of a statistic, by the bootstrap's percentiles; None of a single sample.
    `of` takes an axis."""
    if samples.size < 2:
        return None
    found = bootstrap(
        (samples,), of, n_resamples=RESAMPLES, method="percentile", vectorized=True, rng=0
    ).confidence_interval
    return [round(float(found.low), 3), round(float(found.high), 3)]


def _p99(samples: Floats, axis: int = -1) -> Any:
    return np.percentile(samples, 99, axis=axis)
