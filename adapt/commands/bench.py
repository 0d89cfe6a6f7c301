"""`perennial bench`: a benchmark, as a table or as JSON."""

from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape

from adapt.bench import find_benchmark
from adapt.commands import Options
from adapt.show import CycleView, table


def bench(options: Options, name: str) -> int:
    """Run it and show what it measured. NotFoundError lists the names."""
    run = find_benchmark(name)
    with CycleView() as view:
        found = run(view.moving)
    options.put(found, _shown(found))
    return 0


def _shown(found: dict[str, Any]) -> Group:
    """The facts, a line each, and below them the rows as a table."""
    rows = found.get("rows", [])
    parts: list[RenderableType] = [
        f"{key.replace('_', ' ')}: {escape(str(value))}"
        for key, value in found.items()
        if key != "rows"
    ]
    if rows:
        columns = dict.fromkeys(column for row in rows for column in row)
        parts.append(table([_rounded(row) for row in rows], *columns))
    return Group(*parts)


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Three digits each: differences may be very small, and seconds many."""
    return {
        name: f"{value:.3g}" if isinstance(value, float) else value for name, value in row.items()
    }
