"""Scores of answers in words: a letter, a number, a short text, a span of SQuAD.

No model judges, and a reply that gives two answers gives none: the first that fits is never taken.
All rules are linear in the reply's length. Called by adapt.evals.scoring.checks; which item is of
which kind is its loader's business (adapt.evals.published).

What each kind has in its check besides `kind`:

choice: `value`, a capital letter; `options`, the texts by letter.
number: `value`, a number as text.
text: `values`; `options` where the answer is one of a closed list of words.
span: `values`.
"""

import re
import string
from collections import Counter, deque
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation

from adapt.evals.items import Item
from adapt.evals.scoring.letters import letters_chosen
from adapt.evals.scoring.marks import RIGHT, Mark, invalid, wrong
from agent.engine import Reply

_MARKUP = re.compile(r"\\(?:boxed|text|textbf|mathrm|mathbf)\{([^{}]{0,200})\}")
_EMPHASIS = re.compile(r"\*\*|__|`+")
_THOUGHT = "</think>"
_NUMBER = re.compile(
    r"(?:(?<!\w)[-−–]\s?)?\$?(?<![\d.])(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
)
_STATED = re.compile(r"\banswer(?:\s+(?:is|would be|must be)\b\s*:?|[\"']?\s*:)", re.IGNORECASE)
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_LETTERS = string.ascii_uppercase


def mark_choice(item: Item, reply: Reply) -> Mark:
    """Right when the reply chooses the letter `value` and no other."""
    said = words_said(reply)
    if isinstance(said, Mark):
        return said
    options = item.check.get("options") or dict.fromkeys(_LETTERS, "")
    chosen = letters_chosen(said, options)
    if len(chosen) != 1:
        return wrong(f"chose {', '.join(sorted(chosen))}" if chosen else "chose no letter")
    (letter,) = chosen
    return RIGHT if letter == item.check["value"] else wrong(f"chose {letter}")


def mark_number(item: Item, reply: Reply) -> Mark:
    """Right when the last number of the reply equals `value` (Cobbe et al., arXiv 2110.14168).

    Commas between digits, a dollar sign and what follows the number do not matter.
    """
    said = words_said(reply)
    if isinstance(said, Mark):
        return said
    numbers = deque(_NUMBER.finditer(said), maxlen=1)
    if not numbers:
        return wrong("no number")
    last = numbers[0][0]
    number, gold = _decimal(last), _decimal(str(item.check["value"]))
    same = number is not None and number == gold
    return RIGHT if same else wrong(f"said {_short(last)}")


def mark_text(item: Item, reply: Reply) -> Mark:
    """Right when the final answer of the reply is one of `values` (BIG-Bench Hard, 2210.09261).

    The final answer is what "the answer is" states, or else the whole reply; from a closed list of
    `options`, the one that the reply's lines begin with.
    """
    said = words_said(reply)
    if isinstance(said, Mark):
        return said
    options = [str(option).casefold() for option in item.check.get("options") or ()]
    found = {a for a in map(_normal, _stated(said, options)) if a}
    if not found:
        found = set(_openings(said, options)) if options else {_normal(said)}
    if len(found) != 1:
        return wrong("gave several answers" if found else "gave no answer")
    (answer,) = found
    golds = [_normal(str(value)) for value in item.check["values"]]
    if answer in golds or any(_same_number(answer, gold) for gold in golds):
        return RIGHT
    return wrong(f"said {_short(answer)}")


def mark_span(item: Item, reply: Reply) -> Mark:
    """SQuAD's exact match (Rajpurkar et al., arXiv 1606.05250), the best over `values`.

    Measures: `f1` of the words, and whether the reply `contains` an answer.
    """
    said = words_said(reply)
    if isinstance(said, Mark):
        return invalid(said.detail, f1=0.0, contains=0.0) if not said.valid else said
    answer = squad_normal(said)
    golds = [squad_normal(str(value)) for value in item.check["values"]]
    exact = float(answer in golds)
    within = any(gold and f" {gold} " in f" {answer} " for gold in golds)
    measures = {
        "f1": max((word_f1(answer, gold) for gold in golds), default=0.0),
        "contains": float(exact or within),
    }
    return Mark(exact, "right" if exact else f"said {_short(answer)}", measures=measures)


SCORERS: dict[str, Callable[[Item, Reply], Mark]] = {
    "choice": mark_choice,
    "number": mark_number,
    "text": mark_text,
    "span": mark_span,
}


def words_said(reply: Reply) -> str | Mark:
    """The words of a reply without thoughts and markup, or the mark where there are none."""
    if reply.tool_calls:
        return wrong("called a tool instead of answering")
    text = reply.content.rpartition(_THOUGHT)[2]
    text = _EMPHASIS.sub("", text)
    for _ in range(2):  # \boxed{\text{B}}
        text = _MARKUP.sub(r"\1", text)
    return text.strip() or invalid("empty answer")


def squad_normal(text: str) -> str:
    """Lower case without punctuation, articles and doubled blanks, as SQuAD's script has it."""
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def word_f1(answer: str, gold: str) -> float:
    """F1 of two bags of words; 1 for two empty ones."""
    one, other = Counter(answer.split()), Counter(gold.split())
    if not one or not other:
        return float(one == other)
    return 2 * (one & other).total() / (one.total() + other.total())


def _stated(said: str, options: list[str]) -> Iterable[str]:
    """What each "the answer is" is followed by: up to the sentence's end, or one of `options`."""
    # Up to the next statement only: a reply of thousands of them is read once, not once for each.
    for rest in _STATED.split(said)[1:]:
        line = rest.lstrip().partition("\n")[0]
        if options:
            yield from _openings(line, options)
            continue
        sentence = re.split(r"\.(?:\s|$)", line, maxsplit=1)[0]
        yield sentence.rpartition("=")[2]


def _openings(said: str, options: list[str]) -> set[str]:
    """The options that lines of the reply begin with."""
    words = "|".join(sorted(map(re.escape, options), key=len, reverse=True))
    opening = re.compile(rf"^[^\w\n]*({words})(?!\w)", re.IGNORECASE | re.MULTILINE)
    return {_normal(match[1]) for match in opening.finditer(said)}


def _normal(text: str) -> str:
    """One form of a short answer: no case, single blanks for blanks and commas, no quotes."""
    return " ".join(text.casefold().replace(",", " ").split()).strip(" .\"'“”‘’")


def _same_number(one: str, other: str) -> bool:
    """Whether both are numbers, and the same: 44 is 44.0."""
    first, second = _decimal(one), _decimal(other)
    return first is not None and first == second


def _decimal(text: str) -> Decimal | None:
    bare = re.sub(r"[\s,$]", "", text).replace("−", "-").replace("–", "-")
    try:
        number = Decimal(bare)
    except InvalidOperation:
        return None
    # A NaN equals nothing and raises where it is ordered.
    return number if number.is_finite() else None


def _short(text: str) -> str:
    return ascii(text if len(text) <= 60 else text[:59] + "…")
