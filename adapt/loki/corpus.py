"""The prompts that attribution scores rows on: conversations, MMLU questions, or prompts as given.

One JSON-lines file holds one kind, told by its fields. It scores nothing. Called by adapt.stages.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapt.base import conversation
from adapt.loki.batches import cut_prompts
from adapt.render import Renderer
from store.errors import ConfigError
from store.records import Example, Message, digest_of

MOST_TOKENS = 512
"""Of a longer prompt the last so many are kept."""
PER_SUBJECT = 50
"""MMLU questions per subject, the first of each, as LoKI's authors take them (arXiv 2505.22120)."""
_HINT = (
    'each line holds {"messages": [...]}, or {"prompt": "..."}, or an MMLU question: '
    '{"subject", "question", "choices": [...]}'
)


@dataclass(frozen=True)
class Corpus:
    """Prompts as token ids, and what they are."""

    prompts: tuple[tuple[int, ...], ...]
    words: str
    digest: str
    """Of what the prompts were made from."""


def read_corpus(path: Path, renderer: Renderer, *, prompts: int = 300, seed: int = 0) -> Corpus:
    """The prompts of a file. ConfigError names the line that does not fit, or an empty file.

    Of conversations a seeded sample of `prompts`, each cut at a random place of its answers; of
    prompts a seeded sample, each asked as a user; of MMLU all subjects, 50 questions of each.
    """
    lines = _lines(path)
    if "messages" in lines[0]:
        kind, found = (
            "conversations",
            [_conversation(path, n, line) for n, line in _numbered(lines)],
        )
        chosen = _sample(found, prompts, seed)
        cut = cut_prompts([renderer(example) for example in chosen], seed, MOST_TOKENS)
    else:
        questions = "question" in lines[0]
        kind = "MMLU questions" if questions else "prompts"
        asked = _mmlu(path, lines) if questions else _sample(_prompts(path, lines), prompts, seed)
        chosen = [_asked(text) for text in asked]
        rendered = [renderer(example, generation_prompt=True) for example in chosen]
        cut = tuple(sequence.token_ids[-MOST_TOKENS:] for sequence in rendered)
    words = f"{len(chosen)} {kind} of {path.name}"
    return Corpus(cut, words, digest_of([example.digest for example in chosen]))


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        texts = [text for text in path.read_text().splitlines() if text.strip()]
    except (OSError, ValueError) as error:
        raise ConfigError(f"the corpus {path} cannot be read: {error}", _HINT) from error
    lines: list[dict[str, Any]] = []
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{path} line {number} is not JSON: {error}", _HINT) from error
        if not isinstance(line, dict) or not {"messages", "question", "prompt"} & line.keys():
            raise ConfigError(f"{path} line {number} is nothing to ask: {text[:60]}", _HINT)
        lines.append(line)
    if not lines:
        raise ConfigError(f"the corpus {path} is empty", _HINT)
    return lines


def _numbered(lines: Sequence[dict[str, Any]]) -> Sequence[tuple[int, dict[str, Any]]]:
    return list(enumerate(lines, 1))


def _conversation(path: Path, number: int, line: dict[str, Any]) -> Example:
    unknown = sorted(line.keys() - {"messages", "tools"})
    if "messages" not in line or unknown:
        why = f"has {', '.join(unknown)}" if "messages" in line else "has no messages"
        raise ConfigError(f"{path} line {number}, in a file of conversations, {why}", _HINT)
    try:
        return conversation(**line)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} line {number} is no conversation: {error}", _HINT) from error


def _sample(found: Sequence[Any], count: int, seed: int) -> list[Any]:
    return random.Random(f"{seed}/attribute").sample(found, min(count, len(found)))


def _prompts(path: Path, lines: Sequence[dict[str, Any]]) -> list[str]:
    for number, line in _numbered(lines):
        if not isinstance(line.get("prompt"), str) or not line["prompt"].strip():
            raise ConfigError(f"{path} line {number} has no prompt", _HINT)
    return [line["prompt"] for line in lines]


def _mmlu(path: Path, lines: Sequence[dict[str, Any]]) -> list[str]:
    """The first questions of every subject, with their choices behind letters."""
    taken: dict[str, list[str]] = {}
    for number, line in _numbered(lines):
        subject, question, choices = (line.get(k) for k in ("subject", "question", "choices"))
        if not (isinstance(subject, str) and isinstance(question, str) and choices):
            raise ConfigError(f"{path} line {number} is no MMLU question", _HINT)
        of_subject = taken.setdefault(subject, [])
        if len(of_subject) < PER_SUBJECT:
            offered = [
                f"{letter}. {text}" for letter, text in zip("ABCDEFGHIJ", choices, strict=False)
            ]
            of_subject.append("\n".join([question, *offered, "Answer with the letter."]))
    return [text for of_subject in taken.values() for text in of_subject]


def _asked(text: str) -> Example:
    return Example(
        digest=digest_of(text), kind="prompt",
        messages=(Message(role="user", content=text),), documents=(),
    )  # fmt: skip
