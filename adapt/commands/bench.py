"""`perennial bench`: a benchmark, as a table or as JSON."""

from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape

from adapt.bench import all_hold, find_benchmark, refuse_options
from adapt.commands import Options
from adapt.show import CycleView, table


def bench(options: Options, name: str, **given: Any) -> int:
    """Run it and show what it measured; 1 when an aim does not hold. NotFoundError lists the names;
    ConfigError for an option (None is not given) that it does not take."""
    run = find_benchmark(name)
    given = {option: value for option, value in given.items() if value is not None}
    refuse_options(name, run, given)
    with CycleView() as view:
        found = run(view.moving, **given)
    options.put(found, _shown(found))
    return 0 if all_hold(found) else 1


def _shown(found: dict[str, Any]) -> Group:
    """The facts, a line each, and below them what is many rows as a table each."""
    parts: list[RenderableType] = []
    tables: list[RenderableType] = []
    for key, value in found.items():
        if not (isinstance(value, list) and value and isinstance(value[0], dict)):
            parts.append(f"{key.replace('_', ' ')}: {escape(str(value))}")
            continue
        columns = dict.fromkeys(column for row in value for column in row)
        tables.append(table([_rounded(row) for row in value], *columns))
    return Group(*parts, *tables)


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Three digits each: differences may be very small, and seconds many."""
    return {
        name: f"{value:.3g}" if isinstance(value, float) else value for name, value in row.items()
    }
