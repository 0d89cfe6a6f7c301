"""The reference of all settings, made from the code: keys, variables, kinds, defaults, meanings.

`docs/settings.md` is what `reference` gives, and a test holds the two together. Reads no file.
Called by adapt.commands.settings.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from agent.config_errors import PREFIX
from agent.config_sections import Settings

Json = dict[str, Any]
NAME = "NAME"
"""Stands in a key for a name of one's own."""

_HEAD = """# Settings

Made from the code by `perennial settings --reference`; a test holds the two together. \
`perennial settings` shows the values of a home and where each comes from.

Three places, of which a later one wins, key by key: `perennial.toml` in the home, variables of \
the environment, the command line.

```
[engine]                        # perennial.toml
max_loras = 4

PERENNIAL_ENGINE__MAX_LORAS=4   # the same as a variable: two underlines for each dot
```

A value that is out of its range, a key that there is not and a variable that means nothing are \
refused, with the way out. Lists and tables are JSON in a variable: \
`PERENNIAL_FLEET__URLS='["http://10.0.0.7:8000"]'`. `PERENNIAL_HOME` is the home, and \
`PERENNIAL_DEBUG=1` shows where an error comes from.
"""


@dataclass(frozen=True)
class Setting:
    """One key. `section` is empty for those that belong to none."""

    section: str
    name: str
    kind: str
    default: Any
    """None where it is unset; JSON otherwise."""
    meaning: str
    secret: bool

    @property
    def key(self) -> str:
        """With dots, as errors name it."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def variable(self) -> str:
        """Of the environment; empty where the key holds a name of one's own."""
        path = self.key.split(".")
        return "" if NAME in path else PREFIX + "__".join(path).upper()


@cache
def settings() -> tuple[Setting, ...]:
    """All of them, in the order of the code."""
    schema = Settings.model_json_schema()
    # The home has a place of its own: it cannot be set in the file that lies in it.
    own = {name: value for name, value in schema["properties"].items() if name != "home"}
    return tuple(_below("", own, schema["$defs"]))


@cache
def sections() -> dict[str, str]:
    """What each section is about, by its name."""
    schema = Settings.model_json_schema()
    found: dict[str, str] = {}

    def look(path: str, properties: Json) -> None:
        for name, value in properties.items():
            below, model = _section(name, value, schema["$defs"])
            if model is not None:
                key = f"{path}.{below}" if path else below
                found[key] = " ".join(model.get("description", "").split())
                look(key, model["properties"])

    look("", schema["properties"])
    return found


def _below(path: str, properties: Json, models: Json) -> Iterator[Setting]:
    """The keys of a section, then those of the sections in it."""
    inner: list[tuple[str, Json]] = []
    for name, value in properties.items():
        below, model = _section(name, value, models)
        if model is not None:
            inner.append((f"{path}.{below}" if path else below, model))
            continue
        yield Setting(
            path, name, _kind(value), value.get("default"),
            " ".join(value.get("description", "").split()), "password" in json.dumps(value),
        )  # fmt: skip
    for key, model in inner:
        yield from _below(key, model["properties"], models)


def _section(name: str, value: Json, models: Json) -> tuple[str, Json | None]:
    """The path and the model below a key that is a section, or a table of sections by name."""
    if "$ref" in value:
        return name, models[value["$ref"].rpartition("/")[2]]
    inner = value.get("additionalProperties")
    if isinstance(inner, Mapping) and "$ref" in inner:
        return f"{name}.{NAME}", models[inner["$ref"].rpartition("/")[2]]
    return name, None


_PLAIN = {"integer": "whole number", "number": "number", "boolean": "true or false"}
_BOUNDS = {
    "minimum": "at least", "exclusiveMinimum": "over", "maximum": "at most",
    "exclusiveMaximum": "below",
}  # fmt: skip


def _kind(value: Json) -> str:
    """What a value may be, in words."""
    if "anyOf" in value:
        kinds = [_kind(each) for each in value["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in value:
        return ", ".join(f"`{each}`" for each in value["enum"])
    if value.get("type") == "array":
        return f"list of {_kind(value['items'])}"
    if value.get("type") == "object":
        return f"table by name: {_kind(value['additionalProperties'])}"
    if value.get("type") == "string":
        return "path" if value.get("format") == "path" else "text"
    bounds = [f"{words} {value[bound]:g}" for bound, words in _BOUNDS.items() if bound in value]
    return ", ".join([_PLAIN[value["type"]], *bounds])


def reference() -> str:
    """All of them as Markdown, a table for each section."""
    about = sections()
    parts = [_HEAD]
    for section in dict.fromkeys(setting.section for setting in settings()):
        title = f"## [{section}]" if section else "## Of no section"
        rows = [_row(setting) for setting in settings() if setting.section == section]
        head = ["| key | what it may be | unset | |", "|---|---|---|---|"]
        parts.append("\n".join([title, "", *([about[section], ""] if section else []),
                                *head, *rows, ""]))  # fmt: skip
    return "\n".join(parts)


def _row(setting: Setting) -> str:
    default = "" if setting.default is None else f"`{json.dumps(setting.default)}`"
    cells = [f"`{setting.name}`", setting.kind, default, setting.meaning]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
