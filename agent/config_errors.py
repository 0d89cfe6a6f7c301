"""What is wrong with settings, in words that say where to look and what is allowed.

Reads no source itself. Called by agent.config; `source_of` also by adapt.commands.settings.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from agent.config_sections import Settings
from store.errors import ConfigError

PREFIX = "PERENNIAL_"
_SECRET = ("api_key", "database")


def explain(error: ValidationError, sources: Mapping[str, Mapping[str, Any]]) -> ConfigError:
    """The first complaint of pydantic, in words that say where to look."""
    first = error.errors()[0]
    path = tuple(str(part) for part in first["loc"])
    where = source_of(path, sources)
    section = _section_of(path[:-1])
    if first["type"] == "extra_forbidden" and section:
        return unknown(".".join(path), section.model_fields, where)
    said = first["msg"].removeprefix("Value error, ")
    field = section.model_fields.get(path[-1]) if section and path else None
    if field is None or isinstance(first["input"], BaseModel | dict):
        return ConfigError(f"{'.'.join(path) or 'settings'} from {where}: {said}")
    shown = "(secret)" if path[-1] in _SECRET else repr(first["input"])
    default = field.get_default()
    hint = field.description or ""
    if default is not PydanticUndefined and default is not None:
        hint += f" Default: {default}."
    return ConfigError(f"{'.'.join(path)} = {shown} from {where}: {said}", hint.strip())


def _section_of(path: tuple[str, ...]) -> type[BaseModel] | None:
    """The section at a path; None inside a value, such as a list."""
    kind: Any = Settings
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[part].annotation
        else:
            # Of a table of sections by name, the sections.
            kind = next(reversed(get_args(kind)), None)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def source_of(path: tuple[str, ...], sources: Mapping[str, Mapping[str, Any]]) -> str:
    """The last source that sets `path` (or a part of its section)."""
    for name, values in reversed(list(sources.items())):
        node: Any = values
        for part in path:
            node = node.get(part) if isinstance(node, Mapping) else None
        if node is not None:
            if name == "the environment":
                return f"the variable {PREFIX}{'__'.join(path).upper()}"
            return name
    return "the defaults"


def unknown(key: str, known: Iterable[str], where: str) -> ConfigError:
    """An unknown key, with the nearest known one."""
    *section, last = key.split(".")
    near = difflib.get_close_matches(last, list(known), n=1, cutoff=0.4)
    ways = (
        f"did you mean {'.'.join([*section, near[0]])}?"
        if near
        else (f"known keys: {', '.join(sorted(known))}")
    )
    return ConfigError(f"unknown setting {key} from {where}", ways)
