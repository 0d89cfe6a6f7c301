"""What gathering costs: near duplicates among up to a million documents, and a visit that finds
nothing new. Called by `perennial bench gather`.
"""

from collections.abc import Callable
from typing import Any

from adapt.bench.gather_alike import run_alike
from adapt.bench.gather_visit import run_visit


def run(progress: Callable[[str], None]) -> dict[str, Any]:
    """Figures of both parts, with whether they are what was asked for."""
    alike = run_alike(progress)
    return alike | {"visits": [_row(run_visit(progress))]}


def _row(visit: dict[str, Any]) -> dict[str, Any]:
    """The visits as one flat row."""
    row: dict[str, Any] = {}
    for name, value in visit.items():
        if isinstance(value, dict):
            row |= {f"{name}_{inner}": number for inner, number in value.items()}
        else:
            row[name] = value
    return row
