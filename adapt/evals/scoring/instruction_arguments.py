"""What IFEval's rules need to be told, and how it is read from the published records.

Checks no reply (adapt.evals.scoring.instruction_rules does). Called by the loader of IFEval.
"""

import re
from collections.abc import Mapping
from typing import Any

from adapt.evals.scoring.instruction_rules import RULES
from adapt.evals.scoring.languages import LANGUAGES
from store.errors import ConfigError

RELATIONS = ("less than", "at least")
_COUNT = float
"""A whole number; a file may have it as 3.0."""
_NEEDS: dict[str, dict[str, type]] = {
    "keywords:existence": {"keywords": list},
    "keywords:frequency": {"keyword": str, "frequency": _COUNT, "relation": str},
    "keywords:forbidden_words": {"forbidden_words": list},
    "keywords:letter_frequency": {"letter": str, "let_frequency": _COUNT, "let_relation": str},
    "language:response_language": {"language": str},
    "length_constraints:number_sentences": {"num_sentences": _COUNT, "relation": str},
    "length_constraints:number_paragraphs": {"num_paragraphs": _COUNT},
    "length_constraints:number_words": {"num_words": _COUNT, "relation": str},
    "length_constraints:nth_paragraph_first_word": {
        "num_paragraphs": _COUNT, "nth_paragraph": _COUNT, "first_word": str,
    },
    "detectable_content:number_placeholders": {"num_placeholders": _COUNT},
    "detectable_content:postscript": {"postscript_marker": str},
    "detectable_format:number_bullet_lists": {"num_bullets": _COUNT},
    "detectable_format:number_highlighted_sections": {"num_highlights": _COUNT},
    "detectable_format:multiple_sections": {"section_spliter": str, "num_sections": _COUNT},
    "combination:repeat_prompt": {"prompt_to_repeat": str},
    "startend:end_checker": {"end_phrase": str},
    "change_case:capital_word_frequency": {"capital_frequency": _COUNT, "capital_relation": str},
}  # fmt: skip
"""Arguments by rule, with the published spelling of their names."""


def arguments_of(id: str, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The rule's arguments out of a record. ConfigError: an unknown rule, or one cannot be used."""
    if id not in RULES:
        raise ConfigError(f"{where} has an unknown instruction {id!r}", "mend the file")
    found: dict[str, Any] = {}
    for name, kind in _NEEDS.get(id, {}).items():
        value = given.get(name)
        if kind is list and isinstance(value, str):
            value = _list_in(value)
        if kind is float and isinstance(value, float) and value.is_integer():
            value = int(value)
        wanted = int if kind is float else kind
        if not isinstance(value, wanted) or isinstance(value, bool) or value in ("", []):
            raise ConfigError(
                f"{where}: {name} of {id} is {value!r}", f"it must be a {wanted.__name__}"
            )
        if name.endswith("relation") and value not in RELATIONS:
            raise ConfigError(
                f"{where}: {name} of {id} is {value!r}", f"use one of {', '.join(RELATIONS)}"
            )
        if name == "language" and value not in LANGUAGES:
            raise ConfigError(
                f"{where}: language {value!r} cannot be told",
                "add it to adapt.evals.scoring.languages",
            )
        found[name] = value
    return found


def _list_in(text: str) -> list[str] | str:
    """The words of a list that a record holds as text; the text where it is none."""
    words = re.fullmatch(r"\[(.*)\]", text.strip(), re.DOTALL)
    return [w for w in re.split(r"['\",\s]+", words[1]) if w] if words else text
