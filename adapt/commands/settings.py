"""`perennial settings`: the values of a home and where each comes from, or the reference of all.

Changes none. Called by perennial.py.
"""

import sys
from typing import Any

from pydantic import SecretStr

from adapt.commands import Options
from adapt.show import table
from agent.config import sources_of
from agent.config_errors import source_of
from agent.config_reference import NAME, reference, settings

DEFAULT = "the defaults"


def show(options: Options, key: str | None) -> int:
    """Every setting, or those whose keys begin so. ConfigError for a value that cannot be used,
    NotFoundError for a key that there is not."""
    from store.errors import NotFoundError

    home = options.settings()
    sources = sources_of(home.home, {})
    rows = []
    for setting in settings():
        path = tuple(setting.key.split("."))
        value = _value(home, path)
        rows.append(
            {
                "key": setting.key, "value": _told(value),
                "from": DEFAULT if NAME in path else source_of(path, sources),
                "meaning": setting.meaning,
            }
        )  # fmt: skip
    if key:
        rows = [row for row in rows if f"{row['key']}.".startswith(f"{key}.")]
        if not rows:
            raise NotFoundError(f"there is no setting {key!r}", "`perennial settings` lists all")
    columns = ("key", "value", "from", "meaning") if key else ("key", "value", "from")
    options.put(rows, table([row | {"value": _shown(row["value"])} for row in rows], *columns))
    return 0


def print_reference() -> int:
    """The reference as Markdown, for docs/settings.md."""
    sys.stdout.write(reference())
    return 0


def _value(home: Any, path: tuple[str, ...]) -> Any:
    """What a key is in a home: of a table of sections all, by name."""
    value = home
    for place, part in enumerate(path):
        if part == NAME:
            return {name: _value(each, path[place + 1 :]) for name, each in value.items()}
        value = getattr(value, part)
    return value


def _told(value: Any) -> Any:
    """As JSON; of a secret no more than that it is set."""
    if isinstance(value, SecretStr):
        return "(set)"
    if isinstance(value, dict):
        return {name: _told(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_told(each) for each in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _shown(value: Any) -> str:
    return "" if value is None or value in ({}, []) else str(value)
