"""The tools of the universe, in ToolBench's JSON shape and as functions a model can be offered.

`build_catalogue(seed)` is the published universe; `make_tool` makes one tool of any category.
Says nothing about behaviour: that is `executor`.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from store.errors import NotFoundError
from tools.virtual_api.lexicon import CATEGORIES, UNSEEN_CATEGORIES, Attribute, Category, Kind
from tools.virtual_api.words import VERBS, abbreviate, made_up, with_article

ApiKind = Literal["find", "detail", "create", "cancel", "list", "call"]
"""`call` is an API of somebody else's documentation (`folder`): what it does is not known."""
_METHODS = {"find": "GET", "detail": "GET", "create": "POST", "cancel": "DELETE", "list": "GET",
            "call": "GET"}  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """One parameter: `phrase` is how people speak of it, never its name."""

    name: str
    phrase: str
    kind: Kind
    choices: tuple[str, ...]
    required: bool
    role: Literal["value", "code", "reference"] = "value"
    """`code` comes from a find reply, `reference` from a create reply."""


@dataclass(frozen=True)
class Api:
    """One endpoint of a tool."""

    category: str
    tool: str
    name: str
    kind: ApiKind
    object: str
    description: str
    parameters: tuple[Parameter, ...]
    returns: tuple[tuple[str, Kind], ...]
    """Fields of a successful reply besides the code or reference."""

    @cached_property
    def function(self) -> str:
        """The name a model calls, as ToolLLaMA builds it: `<api>_for_<tool>`, 64 characters."""
        return function_name(self.name, self.tool)

    def to_json(self) -> dict[str, Any]:
        """The entry of ToolBench's `api_list`."""
        parts = {True: [], False: []}
        for p in self.parameters:
            entry: dict[str, Any] = {
                "name": p.name,
                "type": p.kind.upper(),
                "description": p.phrase,
                "default": "",
            }
            if p.choices:
                entry["enum"] = list(p.choices)
            parts[p.required].append(entry)
        return {
            "name": self.name,
            "description": self.description,
            "method": _METHODS[self.kind],
            "required_parameters": parts[True],
            "optional_parameters": parts[False],
        }


@dataclass(frozen=True)
class Tool:
    """A set of APIs that share a brand, an object and parameter names."""

    category: str
    name: str
    description: str
    apis: tuple[Api, ...]

    def to_json(self) -> dict[str, Any]:
        """The whole tool in ToolBench's shape."""
        return {
            "tool_name": self.name,
            "tool_description": self.description,
            "standardized_name": standardize(self.name),
            "category": self.category,
            "api_list": [a.to_json() for a in self.apis],
        }


def standardize(name: str) -> str:
    """Lower case, runs of other characters as one underscore (ToolBench's naming)."""
    return re.sub(r"_+", "_", re.sub(r"[^0-9a-z]", "_", name.lower())).strip("_")


def function_name(api: str, tool: str) -> str:
    """ToolLLaMA's function name: both names standardized, the last 64 characters."""
    return f"{standardize(api)}_for_{standardize(tool)}"[-64:]


def function_schema(tool_name: str, api: dict[str, Any]) -> dict[str, Any]:
    """An OpenAI function (`{"type": "function", "function": ...}`) for one ToolBench API."""
    properties: dict[str, Any] = {}
    required = [p["name"] for p in api["required_parameters"]]
    for p in [*api["required_parameters"], *api["optional_parameters"]]:
        kind = str(p.get("type", "STRING")).lower()
        entry: dict[str, Any] = {
            "type": kind if kind in {"integer", "number", "boolean"} else "string",
            "description": p.get("description", ""),
        }
        if kind == "date":
            entry["format"] = "date"
        if p.get("enum"):
            entry["enum"] = list(p["enum"])
        properties[p["name"]] = entry
    return {
        "type": "function",
        "function": {
            "name": function_name(api["name"], tool_name),
            "description": api.get("description", ""),
            "parameters": {"type": "object", "properties": properties, "required": required},
        },
    }


def schema_of(api: Api) -> dict[str, Any]:
    """The OpenAI function of one API of the universe."""
    return function_schema(api.tool, api.to_json())


def make_tool(rng: random.Random, category: Category, obj: str) -> Tool:
    """One tool of five APIs (find, detail, create, cancel, list) around an object."""
    brand = made_up(rng).capitalize()
    noun = obj.split()[-1]
    thing = with_article(obj)
    names = _parameter_names(rng, category, obj)
    values = list(category.attributes)

    def pick(required: int, optional: int, role: str = "value") -> list[Parameter]:
        chosen = rng.sample(values, required + optional)
        made = [_parameter(names, a, i < required) for i, a in enumerate(chosen)]
        return [*_identified(names, obj, role), *made]

    fields = list(category.fields)
    spoken = {k: rng.choice(v) for k, v in VERBS.items()}
    a, b = rng.sample(fields, 2)
    coded = "code" if rng.random() < 0.5 else "value"
    plans: list[tuple[ApiKind, str, list[Parameter], tuple[tuple[str, Kind], ...]]] = [
        ("find", f"{spoken['find']} {thing}", pick(2, rng.randrange(2)), (rng.choice(fields),)),
        (
            "detail",
            f"{spoken['detail']} the {a[0]} and {b[0]} of {thing}",
            pick(rng.randrange(2), 0, "code"),
            (a, b),
        ),
        (
            "create",
            f"{spoken['create']} {thing}",
            pick(1 if coded == "code" else 2, rng.randrange(2), coded),
            (),
        ),
        ("cancel", f"{spoken['cancel']} {thing}", pick(0, rng.randrange(2), "reference"), ()),
        (
            "list",
            f"{spoken['list']} every {obj}",
            pick(1, rng.randrange(2)),
            (("count", "integer"),),
        ),
    ]
    apis = tuple(
        Api(
            category.name,
            brand,
            f"{VERBS[kind][0]}_{noun}",
            kind,
            obj,
            text,
            tuple(params),
            returns,
        )
        for kind, text, params, returns in plans
    )
    return Tool(category.name, brand, f"{brand} serves {obj} data in {category.name}.", apis)


def _identified(names: dict[str, str], obj: str, role: str) -> list[Parameter]:
    if role == "value":
        return []
    phrase = f"{obj} {role}"
    return [Parameter(names[phrase], phrase, "string", (), True, role)]  # type: ignore[arg-type]


def _parameter(names: dict[str, str], attribute: Attribute, required: bool) -> Parameter:
    return Parameter(
        names[attribute.phrase], attribute.phrase, attribute.kind, attribute.values, required
    )


def _parameter_names(rng: random.Random, category: Category, obj: str) -> dict[str, str]:
    """A terse, unique parameter name for every phrase of one tool."""
    names: dict[str, str] = {}
    for phrase in [*(a.phrase for a in category.attributes), f"{obj} code", f"{obj} reference"]:
        name = abbreviate(rng, phrase)
        while name in names.values():
            name = abbreviate(rng, phrase) + rng.choice("abcdefgh")
        names[phrase] = name
    return names


@dataclass(frozen=True)
class Catalogue:
    """All tools of a universe, with ToolBench's splits."""

    seed: int
    tools: tuple[Tool, ...]

    @cached_property
    def by_function(self) -> dict[str, Api]:
        """Function name to API; names are unique over the catalogue."""
        return {a.function: a for t in self.tools for a in t.apis}

    def category(self, name: str) -> tuple[Tool, ...]:
        """The tools of one category. NotFoundError lists the categories."""
        found = tuple(t for t in self.tools if t.category == name)
        if not found:
            known = ", ".join(sorted({t.category for t in self.tools}))
            raise NotFoundError(f"There is no category {name!r}", f"choose one of: {known}")
        return found

    def split(self, name: Literal["seen", "unseen_tool", "unseen_category"]) -> tuple[Tool, ...]:
        """Seen tools, the last tool of every seen category, or the unseen categories."""
        if name == "unseen_category":
            return tuple(t for t in self.tools if t.category in UNSEEN_CATEGORIES)
        tools: list[Tool] = []
        for c in (c for c in CATEGORIES if c.name not in UNSEEN_CATEGORIES):
            own = self.category(c.name)
            tools += own[-1:] if name == "unseen_tool" else own[:-1]
        return tuple(tools)


def build_catalogue(seed: int = 0, categories: Sequence[Category] = CATEGORIES) -> Catalogue:
    """The universe of one seed: every category with one tool per object, five APIs each."""
    tools: list[Tool] = []
    taken: set[str] = set()
    for category in categories:
        rng = random.Random(f"{seed}/{category.name}")
        for obj in category.objects:
            tool = make_tool(rng, category, obj)
            while tool.name in taken:
                tool = make_tool(rng, category, obj)
            taken.add(tool.name)
            tools.append(tool)
    return Catalogue(seed, tuple(tools))
