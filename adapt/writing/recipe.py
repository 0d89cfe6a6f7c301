"""What a model is asked to write of a passage, and how its answer is read.

Answers are JSON lines, one thing each; a line that cannot be read is left out and counted. It asks
nobody and judges nothing (adapt.writing.checks). Called by adapt.writing.writer.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from store.records import digest_of

Kind = Literal["qa", "implication", "rewriting", "api-doc", "api-call"]

_FORM = "Answer with JSON lines only: one object per line, no other text."
_PROSE = (
    "Below is a passage of the document {title!r}. Write what a reader should know by heart.\n"
    f"{_FORM} Three kinds of objects:\n"
    '{{"kind": "qa", "question": ..., "again": ..., "other": ..., "answer": ...}}: a question that '
    "names what it is about and can be understood without the passage; the same question in "
    "other words twice; the answer, copied from the passage word for word.\n"
    '{{"kind": "implication", "question": ..., "answer": ..., "because": ...}}: what follows from '
    "the passage without being said, and the words of the passage it follows from.\n"
    '{{"kind": "rewriting", "answer": ...}}: the whole passage in other words, once.\n'
    "Up to {facts} of qa, 3 of implication, 1 of rewriting. Add nothing that the passage does not "
    "say.\n\nPassage:\n{text}"
)
_API = (
    "Below is the definition of a function. Write what teaches somebody to call it.\n"
    f"{_FORM} Two kinds of objects:\n"
    '{{"kind": "api-call", "request": ..., "arguments": {{...}}}}: what a user says who needs it, '
    "in everyday words, with every value in it and no parameter's name, and the arguments that "
    "are right for it.\n"
    '{{"kind": "api-doc", "answer": ...}}: the documentation in other words, with the name of the '
    "function and of every parameter.\n"
    "Write {calls} of api-call, all different, and 1 of api-doc.\n\nFunction:\n{text}"
)
FACTS, CALLS = 6, 6
"""Questions asked for on a passage, and calls on a function."""
MAX_TOKENS = 1500
"""Most tokens of one answer."""
RECIPE = digest_of([_PROSE, _API, FACTS, CALLS, MAX_TOKENS])[:16]
"""Identity of all of the above: what is kept of another recipe is written again."""


@dataclass(frozen=True)
class Written:
    """One thing that a model wrote. Texts are empty where its kind has none."""

    kind: Kind
    question: str = ""
    again: tuple[str, ...] = ()
    """The question in other words; the last of them is for the judge."""
    answer: str = ""
    because: str = ""
    """Words of the passage that an implication rests on."""
    arguments: dict[str, Any] | None = None


def prose_prompt(title: str, passage: str) -> str:
    """What is said to a model about a passage."""
    return _PROSE.format(title=title, text=passage, facts=FACTS)


def api_prompt(function: dict[str, Any]) -> str:
    """What is said to a model about a function (`{"name", "description", "parameters"}`)."""
    return _API.format(text=json.dumps(function, ensure_ascii=False), calls=CALLS)


def read_written(text: str, kinds: Sequence[str]) -> tuple[list[Written], int]:
    """What a model's answer holds of these kinds, and how many of its lines could not be read."""
    found: list[Written] = []
    unread = 0
    for line in text.splitlines():
        stripped = line.strip().rstrip(",")
        if not stripped.startswith("{"):
            # Some put a fence around their lines, or a word before them.
            continue
        try:
            found.append(_read(json.loads(stripped), kinds))
        except (ValueError, KeyError, TypeError):
            unread += 1
    return found, unread


def _read(said: dict[str, Any], kinds: Sequence[str]) -> Written:
    kind = said["kind"]
    if kind not in kinds:
        raise ValueError(kind)
    if kind == "qa":
        again = (_text(said["again"]), _text(said["other"]))
        return Written("qa", _text(said["question"]), again, _text(said["answer"]))
    if kind == "implication":
        return Written(
            kind, _text(said["question"]), answer=_text(said["answer"]),
            because=_text(said["because"]),
        )  # fmt: skip
    if kind == "api-call":
        if not isinstance(said["arguments"], dict):
            raise TypeError("arguments")
        return Written(kind, _text(said["request"]), arguments=said["arguments"])
    return Written(kind, answer=_text(said["answer"]))


def _text(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise TypeError("text")
    return " ".join(value.split())
