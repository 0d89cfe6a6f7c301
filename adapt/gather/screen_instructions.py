"""Instructions aimed at a model: in any part of a document, split, disguised or in other languages.

It judges wording alone; what is hidden or encoded is dug out by screen_hidden and screen_encoded,
which ask here how much an order it is. Called by adapt.gather.screening.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from adapt.gather.screen_answers import ANSWERS, TIGHT
from adapt.gather.screen_phrases import NAMED, ORDERS
from adapt.gather.screen_text import Part, at, excerpt, joined
from adapt.gather.screen_tongues import PATTERNS, SYSTEM_PROMPT
from adapt.gather.screen_words import Phrase
from store.source_records import Finding

HOLD = 1.0
"""Weight of what stands together from which a document is held whatever its trust."""
HOLD_API = 0.85
"""In an API's description, where nothing has reason to speak to a model."""
HOLD_LEAST = 0.6
"""What weighs less is not enough to hold a document that is trusted little."""
HOLD_HIDDEN = 0.45
"""In what was hidden or encoded: whoever hides an order means it."""
_FIRM = 0.7
"""Weight from which a phrase is looked for across lines as well."""
_TOGETHER = 2
"""Sentences after one that count as standing together with it."""
_ALL: tuple[Phrase, ...] = (*ORDERS, *ANSWERS)
_WHY = {
    "override": "tells a model to set its instructions aside",
    "addressed": "speaks to a model, not to a reader",
    "persona": "gives a model another role",
    "conceal": "asks to keep something from the user",
    "exfiltrate": "asks to give away a conversation, a prompt or a secret",
    "trigger": "sets a trigger for an answer",
    "self": "says of itself that it is to be obeyed",
    "secrets": "asks for credentials",
    "whatever": "asks for it whatever is said",
    "answers": "dictates what a model is to answer",
    "training": "says how a model is to learn it",
    "tools": "says how a model is to use its tools",
    "authority": "poses as the system",
}


class Weighed(NamedTuple):
    """How much of an order a text is, what it is after, and the sentence that says most of it."""

    weight: float
    aims: tuple[str, ...]
    sentence: str


def find(parts: Sequence[Part], *, api: bool, trust: float = 1.0) -> Iterator[Finding]:
    """What the parts of one document tell a model to do; one finding for each part at most.

    The less a document is trusted, the less weighs enough to hold it.
    """
    usual = min(HOLD_API if api else HOLD, max(HOLD_LEAST, trust))
    for part in parts:
        least = usual
        found = weigh(part)
        if part.name:
            least = HOLD_HIDDEN
            if match := NAMED.search(part.folded):
                found = found or Weighed(HOLD, ("exfiltrate",), match[0])
        if found and found.weight >= least / 2:
            yield Finding(
                kind="instruction",
                words=f"{at(part.place)}{reasons(found.aims)}; a model that learns it may obey",
                excerpt=excerpt(found.sentence),
                hold=found.weight >= least,
            )


def reasons(aims: Iterable[str]) -> str:
    """What is wrong with it, for a person."""
    return ", ".join(_WHY.get(aim, aim) for aim in aims)


def weigh(part: Part) -> Weighed | None:
    """The strongest order in a part, None where there is none."""
    found = [_together(part.sentences, _ALL)]
    lines = joined(part.folded)
    strong = [phrase for phrase in _ALL if phrase.weight >= _FIRM]
    # An order whose words stand on lines, in cells or in comments of their own.
    found.append(_together(lines, strong))
    if part.leet != part.folded:
        found.append(_together([" ".join(part.leet.split())], strong))
    for read in (part.tight, part.tight[::-1]):
        if match := TIGHT.search(read):
            found.append(Weighed(HOLD, ("override",), match[0]))
    found.append(_tongues("\n".join(lines)))
    return max((f for f in found if f), key=lambda f: f.weight, default=None)


def weigh_text(text: str) -> Weighed | None:
    """`weigh` of a text that was dug out of a document."""
    return weigh(Part("", text))


def _together(sentences: Sequence[str], phrases: Iterable[Phrase]) -> Weighed | None:
    """The heaviest run of neighbouring sentences: the largest weight of each aim, added up."""
    text = "\n".join(sentences)
    starts = [0]
    for sentence in sentences:
        starts.append(starts[-1] + len(sentence) + 1)
    hits: dict[int, dict[str, float]] = {}
    for phrase in phrases:
        for match in phrase.pattern.finditer(text):
            row = hits.setdefault(bisect_right(starts, match.start()) - 1, {})
            row[phrase.aim] = max(row.get(phrase.aim, 0.0), phrase.weight)
    best: Weighed | None = None
    for first in hits:
        aims: dict[str, float] = {}
        for row in (hits.get(i, {}) for i in range(first, first + 1 + _TOGETHER)):
            for aim, weight in row.items():
                aims[aim] = max(aims.get(aim, 0.0), weight)
        total = sum(aims.values())
        if best is None or total > best.weight:
            best = Weighed(total, tuple(sorted(aims)), sentences[first])
    return best


def _tongues(text: str) -> Weighed | None:
    if match := SYSTEM_PROMPT.search(text):
        return Weighed(HOLD, ("exfiltrate",), match[0])
    for name, pattern in PATTERNS:
        if match := pattern.search(text):
            return Weighed(HOLD, ("override",), f"{match[0]} ({name})")
    return None
