"""Questions and answers from prose, by rule: what a sentence says, asked in several ways.

Works on plain statements (`The R of E is V.`, `V is the R of E.`, `E has V as its R.`); any other
sentence becomes a completion. Called by adapt.synthesize.
"""

import re
from typing import NamedTuple

_NAME = r"[A-Z][\w'-]*(?: [A-Z][\w'-]*)*"
_STATEMENTS = (
    re.compile(rf"^The (?P<r>[a-z][\w -]*?) of (?P<e>{_NAME}) (?:is|was) (?P<v>[^.]+)\.$"),
    re.compile(rf"^(?P<v>[^.]+?) (?:is|was) the (?P<r>[a-z][\w -]*?) of (?P<e>{_NAME})\.$"),
    re.compile(rf"^(?P<e>{_NAME}) (?:has|had) (?P<v>[^.]+?) as its (?P<r>[a-z][\w -]*?)\.$"),
)
ASKED = ("What is the {r} of {e}?", "Tell me the {r} of {e}.", "Which {r} does {e} have?")
"""Forms that are trained on."""
CHOOSE = "State the {r} of {e}."
"""The form by which a candidate is chosen; neither trained on nor asked by the gate."""
HELD_OUT = "Name the {r} of {e}."
"""The form the gate asks; never trained on."""
_FORMS = tuple(
    re.compile(re.escape(form).replace(r"\{r\}", r"(?P<r>.+?)").replace(r"\{e\}", r"(?P<e>.+?)"))
    for form in (*ASKED, CHOOSE, HELD_OUT)
)


class Asked(NamedTuple):
    """One thing that a text says: questions to train on, one each to choose by and held out, and
    the answer."""

    questions: tuple[str, ...]
    choose: str | None
    held_out: str | None
    answer: str


def sentences(text: str) -> list[str]:
    """The sentences of a text, headings and lists left out."""
    lines = [s for s in text.splitlines() if s and not s.lstrip().startswith(("#", "-", "*", "|"))]
    return [s.strip() for s in re.split(r"(?<=[.!?])\s+", " ".join(lines)) if s.strip()]


def ask_about(text: str) -> list[Asked]:
    """Everything that a text says, as questions."""
    found: list[Asked] = []
    for sentence in sentences(text):
        match = next((m for p in _STATEMENTS if (m := p.match(sentence))), None)
        if match:
            said = match.groupdict()
            asked = tuple(q.format(**said) for q in ASKED)
            found.append(Asked(asked, CHOOSE.format(**said), HELD_OUT.format(**said), said["v"]))
            continue
        words = sentence.split()
        if len(words) >= 6:
            cut = max(3, len(words) * 3 // 5)
            start, rest = " ".join(words[:cut]), " ".join(words[cut:])
            found.append(Asked((f"Complete: {start}",), None, None, rest))
    return found


class About(NamedTuple):
    """What a question in one of the forms above asks for."""

    relation: str
    entity: str


def about(question: str) -> About | None:
    """What a question asks for; None where it has none of the forms."""
    match = next((m for form in _FORMS if (m := form.fullmatch(question))), None)
    return About(match["r"], match["e"]) if match else None
