"""IFEval's 25 rules that a program can check, one small function each.

By the definitions of "Instruction-Following Evaluation for Large Language Models" (Zhou et al.,
arXiv 2311.07911). Sentences, words and languages are told by rules of our own rather than by NLTK
and langdetect: replies at the very edge of a count may be told otherwise than published code does.
Every rule is linear in the text and raises nothing on what a model says; a rule's arguments are
checked when items are made (adapt.evals.scoring.instruction_arguments). Called by
adapt.evals.scoring.instructions.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from adapt.evals.scoring.languages import languages_of

Arguments = Mapping[str, Any]
Rule = Callable[[str, Arguments], bool]

CONSTRAINED = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
"""The answers that `constrained_response` allows."""
_POSTSCRIPTS = {"p.s.": r"p\.\s?s\.", "p.p.s": r"p\.\s?p\.\s?s"}
_ABBREVIATED = re.compile(
    r"(?:^|[\s(\"'])(?:mr|mrs|ms|dr|prof|sr|jr|st|vs|e\.g|i\.e|vol|fig|approx|[a-z])$",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w")
_SENTENCE_END = re.compile(r"[.!?…。！？।॥]+[\"'”’)\]*_]*(?=\s|$)|(?<=[。！？।॥])")


def holds(id: str, arguments: Arguments, text: str) -> bool:
    """Whether `text` keeps the rule; an empty text keeps none."""
    return bool(text.strip()) and RULES[id](text, arguments)


def sentences_in(text: str) -> int:
    """How many sentences: ends of sentences outside abbreviations, and a rest without one."""
    count, start = 0, 0
    for match in _SENTENCE_END.finditer(text):
        end = match.start()
        if match[0][:1] == "." and _ABBREVIATED.search(text[max(start, end - 12) : end]):
            continue
        count += bool(_WORD.search(text, start, end))
        start = match.end()
    return count + bool(_WORD.search(text, start))


def parts_of(text: str, mark: str) -> list[str] | None:
    """The texts between marks, without empty ones at either end; None where one inside is empty."""
    parts = [part.strip() for part in text.split(mark)]
    inner = parts[1:-1]
    return None if "" in inner else [part for part in parts if part]


def _compared(count: int, limit: int, relation: str) -> bool:
    return count < limit if relation == "less than" else count >= limit


def _existence(text: str, given: Arguments) -> bool:
    low = text.lower()
    return all(str(word).lower() in low for word in given["keywords"])


def _frequency(text: str, given: Arguments) -> bool:
    count = text.lower().count(given["keyword"].lower())
    return _compared(count, given["frequency"], given["relation"])


def _forbidden(text: str, given: Arguments) -> bool:
    words = "|".join(re.escape(str(word)) for word in given["forbidden_words"])
    return not re.search(rf"\b(?:{words})\b", text, re.IGNORECASE)


def _letters(text: str, given: Arguments) -> bool:
    count = text.lower().count(given["letter"].lower())
    return _compared(count, given["let_frequency"], given["let_relation"])


def _language(text: str, given: Arguments) -> bool:
    return given["language"] in languages_of(text)


def _sentences(text: str, given: Arguments) -> bool:
    return _compared(sentences_in(text), given["num_sentences"], given["relation"])


def _paragraphs(text: str, given: Arguments) -> bool:
    parts = parts_of(text, "***")
    return parts is not None and len(parts) == given["num_paragraphs"]


def _words(text: str, given: Arguments) -> bool:
    return _compared(len(re.findall(r"\w+", text)), given["num_words"], given["relation"])


def _nth_paragraph(text: str, given: Arguments) -> bool:
    pieces = text.split("\n\n")
    filled = sum(bool(piece.strip()) for piece in pieces)
    nth = given["nth_paragraph"]
    if filled != given["num_paragraphs"] or not 1 <= nth <= filled or not pieces[nth - 1].strip():
        return False
    first = pieces[nth - 1].split(maxsplit=1)[0].lstrip("'\"")
    return re.split(r"[.,?!'\"]", first, maxsplit=1)[0].lower() == given["first_word"].lower()


def _placeholders(text: str, given: Arguments) -> bool:
    count = 0
    for line in text.split("\n"):
        place = line.find("[")
        # By hand: a pattern would search to the line's end again from every open bracket.
        while place >= 0 and (end := line.find("]", place)) >= 0:
            count += 1
            place = line.find("[", end)
    return count >= given["num_placeholders"]


def _postscript(text: str, given: Arguments) -> bool:
    marker = given["postscript_marker"].lower()
    pattern = _POSTSCRIPTS.get(marker) or re.escape(marker)
    return bool(re.search(pattern, text.lower()))


def _bullets(text: str, given: Arguments) -> bool:
    lines = [line.strip() for line in text.split("\n")]
    count = sum(line[:1] == "-" or (line[:1] == "*" and line[1:2] not in "*") for line in lines)
    return count == given["num_bullets"]


def _constrained(text: str, given: Arguments) -> bool:
    return any(answer in text for answer in CONSTRAINED)


def _highlights(text: str, given: Arguments) -> bool:
    once = re.findall(r"\*([^\n*]*)\*", text)
    twice = re.findall(r"\*\*([^\n*]*)\*\*", text)
    return sum(bool(found.strip()) for found in once + twice) >= given["num_highlights"]


def _sections(text: str, given: Arguments) -> bool:
    marks = re.findall(re.escape(given["section_spliter"]) + r"\s?\d", text)
    return len(marks) >= given["num_sections"]


def _json(text: str, given: Arguments) -> bool:
    bare = text.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        bare = bare.removeprefix(fence)
    try:
        json.loads(bare.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def _title(text: str, given: Arguments) -> bool:
    for line in text.split("\n"):
        start, end = line.find("<<"), line.rfind(">>")
        if start >= 0 and line[start:end].strip("<> \t") and end > start:
            return True
    return False


def _two_responses(text: str, given: Arguments) -> bool:
    parts = parts_of(text, "******")
    return parts is not None and len(parts) == 2 and parts[0] != parts[1]


def _repeats(text: str, given: Arguments) -> bool:
    return text.strip().lower().startswith(given["prompt_to_repeat"].strip().lower())


def _ends(text: str, given: Arguments) -> bool:
    return text.strip().strip('"').lower().endswith(given["end_phrase"].strip().lower())


def _capital(text: str, given: Arguments) -> bool:
    return text.isupper() and "en" in languages_of(text)


def _lowercase(text: str, given: Arguments) -> bool:
    return text.islower() and "en" in languages_of(text)


def _capital_words(text: str, given: Arguments) -> bool:
    words = re.findall(r"\w+(?:[-.&]\w+)*", text)
    count = sum(word.isupper() for word in words)
    return _compared(count, given["capital_frequency"], given["capital_relation"])


def _no_comma(text: str, given: Arguments) -> bool:
    return "," not in text


def _quotation(text: str, given: Arguments) -> bool:
    bare = text.strip()
    return len(bare) > 1 and bare[0] == bare[-1] == '"'


RULES: dict[str, Rule] = {
    "keywords:existence": _existence,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": _forbidden,
    "keywords:letter_frequency": _letters,
    "language:response_language": _language,
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_words": _words,
    "length_constraints:nth_paragraph_first_word": _nth_paragraph,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response": _constrained,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _json,
    "detectable_format:title": _title,
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": _repeats,
    "startend:end_checker": _ends,
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": _capital,
    "change_case:english_lowercase": _lowercase,
    "punctuation:no_comma": _no_comma,
    "startend:quotation": _quotation,
}
"""All rules by the ids of the paper's published list."""
