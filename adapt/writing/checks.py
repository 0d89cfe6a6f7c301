"""Whether what a model wrote may be learned: is it said in the passage, is the call right, does the
judge's question give itself away?

Pure but for the embedder. Called by adapt.writing.examples.
"""

import re
from collections.abc import Sequence
from typing import Any

from jsonschema import Draft202012Validator

from adapt.superseding import holds_words, words_of
from adapt.writing.recipe import Written
from store.embeddings import Embedder

GRAM = 3
"""Words of an n-gram."""
SHARED = 0.8
"""Share of a held-out question's n-grams in one training question from which it gives itself
away."""
CLOSE = 0.97
"""Cosine from which two questions are the same one to the embedder."""
_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][\w'-]+|\d[\d.,:/-]*\d|\d")


def fault_of(written: Written, passage: str) -> str:
    """Why what was written of a passage may not be learned; empty where it may."""
    own = words_of(passage)
    if written.kind == "qa":
        if not holds_words(own, words_of(written.answer)):
            return "the answer is not in the passage"
        asked = {" ".join(words_of(q)) for q in (written.question, *written.again)}
        if len(asked) < 1 + len(written.again):
            return "a question is asked twice in the same words"
        if holds_words(words_of(written.question), words_of(written.answer)):
            return "the question holds its answer"
    if written.kind == "implication" and not holds_words(own, words_of(written.because)):
        return "what it follows from is not in the passage"
    if written.kind in ("implication", "rewriting") and (added := _added(written.answer, own)):
        return f"the passage does not say {added}"
    if written.kind == "rewriting" and not 0.4 <= len(words_of(written.answer)) / len(own) <= 2.5:
        return "it is far shorter or longer than the passage"
    return ""


def call_fault(written: Written, function: dict[str, Any]) -> str:
    """Why what was written of a function may not be learned; empty where it may."""
    names = list(function["parameters"]["properties"])
    if written.kind == "api-doc":
        missing = [n for n in (function["name"], *names) if n not in written.answer]
        return f"it lacks the name {missing[0]}" if missing else ""
    assert written.arguments is not None, "a call has arguments"
    schema = {**function["parameters"], "additionalProperties": False}
    error = next(Draft202012Validator(schema).iter_errors(written.arguments), None)
    if error is not None:
        return f"the call does not fit the schema: {error.message}"
    said = words_of(written.question)
    for name, value in written.arguments.items():
        if not isinstance(value, bool) and not holds_words(said, words_of(str(value))):
            return f"the request does not say {value!r}"
        if "_" in name and name in written.question:
            return f"the request spells the parameter {name}"
    return ""


def gives_away(question: str, trained: Sequence[str]) -> bool:
    """Whether a held-out question is nearly one that is trained on, by its n-grams."""
    own = _grams(question)
    return any(len(own & _grams(other)) >= SHARED * len(own) for other in trained)


def close_to(questions: Sequence[str], trained: Sequence[str], embedder: Embedder) -> list[bool]:
    """For each question, whether the embedder cannot tell it from one that is trained on."""
    if not questions or not trained:
        return [False] * len(questions)
    import numpy as np

    one, other = (np.array(embedder.embed(list(texts))) for texts in (questions, trained))
    return [bool(best >= CLOSE) for best in (one @ other.T).max(axis=1)]


def _grams(text: str) -> set[tuple[str, ...]]:
    words = words_of(text)
    # A text of fewer words is its own n-gram.
    return {tuple(words[i : i + GRAM]) for i in range(max(1, len(words) - GRAM + 1))}


def _added(text: str, passage: Sequence[str]) -> str:
    """The first name or number that a text has and the passage lacks."""
    for match in _NAME.finditer(text):
        if not holds_words(passage, words_of(match[0])):
            return match[0]
    return ""
