"""An API's documentation in other words: the rows from which its schema is learned.

PaST's knowledge recipe (arXiv 2601.11258): per API three rewritings, each asked for by name and by
description, and the JSON asked for by name and by description: eight rows. Rewritings here follow
templates, so that a model too small to paraphrase can be taught; nothing is added to the document.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One question about an API and its answer."""

    question: str
    answer: str


def _parts(function: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    """(name, meaning, type, required) of each parameter, in the schema's order."""
    parameters = function.get("parameters", {})
    required = set(parameters.get("required", ()))
    return [
        (name, spec.get("description", name), type_words(spec), name in required)
        for name, spec in parameters.get("properties", {}).items()
    ]


def type_words(spec: dict[str, Any]) -> str:
    """The type of a JSON schema property in one word, or its choices."""
    if spec.get("enum"):
        return "|".join(str(v) for v in spec["enum"])
    return str(spec.get("format") or spec.get("type", "string"))


def narrative(function: dict[str, Any]) -> str:
    """Sentences."""
    said = [
        f'"{n}" is the {m} ({t}{"" if needed else ", optional"})'
        for n, m, t, needed in _parts(function)
    ]
    return f"{function['name']} can {function['description']}. " + ", ".join(said) + "."


def reference(function: dict[str, Any]) -> str:
    """A signature with meanings."""
    said = [f'"{n}"{"" if needed else "?"} {t}: {m}' for n, m, t, needed in _parts(function)]
    return f"{function['name']}\n" + "\n".join(said)


def summary(function: dict[str, Any]) -> str:
    """Meaning first, then the name that carries it."""
    said = [f'{m} goes in "{n}"' for n, m, _, _ in _parts(function)]
    return f"To {function['description']}, call {function['name']}: " + ", ".join(said) + "."


def compact_json(function: dict[str, Any]) -> str:
    """The parameters as JSON: name to type."""
    return json.dumps(
        {"name": function["name"], "parameters": {n: t for n, _, t, _ in _parts(function)}},
        ensure_ascii=False,
    )


REWRITINGS: tuple[tuple[str, str, Callable[[dict[str, Any]], str]], ...] = (
    ("Describe {name}.", "Describe the API that can {description}.", narrative),
    (
        "Give the reference of {name}.",
        "Give the reference of the API that can {description}.",
        reference,
    ),
    ("How do I use {name}?", "How do I {description}?", summary),
    ("Show the JSON of {name}.", "Show the JSON of the API that can {description}.", compact_json),
)


def api_rows(function: dict[str, Any]) -> list[Row]:
    """The eight rows of one OpenAI function (`{"name", "description", "parameters"}`)."""
    rows: list[Row] = []
    for by_name, by_description, write in REWRITINGS:
        text = write(function)
        asked = {"name": function["name"], "description": function["description"]}
        rows.append(Row(by_name.format(**asked), text))
        rows.append(Row(by_description.format(**asked), text))
    return rows
