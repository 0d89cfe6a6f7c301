"""A folder of ToolBench tool files as a universe: their schemas, with behaviour made up.

What the APIs really do is not in their files, so every call whose arguments fit the schema gets a
reply that follows from them: a right answer then proves a right call. That is enough to learn how
schemas are recalled and used, which is what a skill is trained for. Called by adapt.skill.source.
"""

import json
import re
from pathlib import Path
from typing import Any

from store.errors import ConfigError
from tools.virtual_api.catalogue import Api, Catalogue, Parameter, Tool, function_name
from tools.virtual_api.lexicon import Kind

_KINDS: dict[str, Kind] = {
    "NUMBER": "integer", "INTEGER": "integer", "FLOAT": "number", "BOOLEAN": "boolean",
    "DATE": "date",
}  # fmt: skip
"""Of a parameter; every other type is a string, as ToolBench has it."""
_MOST_WORDS = 25
"""Of a description: of a longer one, its first sentence, or so many words of it."""
_HINT = 'each file is one tool: {"tool_name": ..., "api_list": [{"name": ..., ...}]}'


def read_catalogue(folder: Path) -> Catalogue:
    """The tools of `<folder>/*.json` and `<folder>/<category>/*.json`.

    A tool without APIs is left out. Raises ConfigError naming the file that is no tool, a folder
    without tools, and two APIs of one name.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"{folder} is {'a file' if folder.exists() else 'not there'}", "give a folder of tools"
        )
    paths = sorted([*folder.glob("*.json"), *folder.glob("*/*.json")])
    if not paths:
        raise ConfigError(f"{folder} holds no tool files (*.json)", _HINT)
    tools: list[Tool] = []
    owners: dict[str, Path] = {}
    for path in paths:
        tool = _tool(path, path.parent.name)
        for api in tool.apis:
            if api.function in owners:
                raise ConfigError(
                    f"{path} and {owners[api.function]} both have {api.function}", "remove one"
                )
            owners[api.function] = path
        tools += [tool] if tool.apis else []
    if not tools:
        raise ConfigError(f"no tool in {folder} has an API", _HINT)
    return Catalogue(0, tuple(tools))


def _tool(path: Path, category: str) -> Tool:
    try:
        read: dict[str, Any] = json.loads(path.read_text())
        name = str(read.get("tool_name") or read.get("standardized_name") or "")
        if not name:
            raise ValueError("it has no tool_name")
        kind = str(read.get("category") or category)
        apis = {a.function: a for a in (_api(kind, name, api) for api in read["api_list"])}
    except KeyError as error:
        raise ConfigError(
            f"{path} is no ToolBench tool: it has no {error.args[0]}", _HINT
        ) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is no ToolBench tool: {error}", _HINT) from error
    return Tool(kind, name, str(read.get("tool_description") or ""), tuple(apis.values()))


def _api(category: str, tool: str, read: dict[str, Any]) -> Api:
    name = str(read["name"])
    said = " ".join(str(read.get("description") or "").split())
    said = re.split(r"(?<=[.!?])\s", said)[0].rstrip(".!? ") or name.replace("_", " ")
    words = said.split()
    if words[0][:1].isupper() and not words[0][1:2].isupper():
        words[0] = words[0][0].lower() + words[0][1:]
    parameters = [
        _parameter(p, required)
        for required, key in ((True, "required_parameters"), (False, "optional_parameters"))
        for p in read.get(key) or ()
    ]
    if len({p.name for p in parameters}) != len(parameters):
        raise ValueError(f"a parameter of {function_name(name, tool)} stands twice")
    return Api(
        category, tool, name, "call", name.replace("_", " "), " ".join(words[:_MOST_WORDS]),
        tuple(parameters), (("result", "string"),),
    )  # fmt: skip


def _parameter(read: dict[str, Any], required: bool) -> Parameter:
    choices = tuple(str(value) for value in read.get("enum") or ())
    kind = _KINDS.get(str(read.get("type", "STRING")).upper(), "string")
    name = str(read["name"])
    said = " ".join(str(read.get("description") or "").split()).rstrip(". ")
    # A request must not name the parameter: with names hidden, that is what has to be recalled.
    phrase = said if said and said != name else name.replace("_", " ")
    short = " ".join(phrase.split()[:8])
    return Parameter(name, short, "enum" if choices else kind, choices, required)
