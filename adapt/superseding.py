"""Which examples a newer document contradicts, from the examples alone.

Two ways to say otherwise: to be the newer text of the same address, and to answer the same question
otherwise. The later date wins, whichever came in first. Pure: it reads and stores nothing. Called
by the stage that writes examples.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from adapt.questions import about
from store.records import Example, utc_now
from store.superseded import Supersession
from store.tables import aware

_WORD = re.compile(r"\w+")
_ANSWERS = "qa"
"""Kind of the examples whose question has one answer."""
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class _Said:
    """An answer to a question, by whom and when. A date that is not known is older than any."""

    example: Example
    answer: str
    dated: datetime

    @property
    def document(self) -> str:
        return self.example.documents[0]


@dataclass(frozen=True)
class _Conflict:
    """One answer that gives way to another."""

    old: _Said
    new: _Said


def superseded(
    new: Sequence[Example],
    earlier: Iterable[Example],
    outdated: Mapping[str, str],
    cycle: int,
) -> list[Supersession]:
    """All examples of `new` and `earlier` that no longer hold, once each for every newer document.

    `outdated` gives for the digest of an older edition that of the newest one.
    """
    known = [*earlier, *new]
    conflicts = list(_conflicts(new, known))
    losing: dict[str, list[_Conflict]] = {}
    for conflict in conflicts:
        losing.setdefault(conflict.old.document, []).append(conflict)
    at = utc_now()
    found: dict[tuple[str, str, str], Supersession] = {}
    for example in known:
        for document in example.documents:
            against = losing.get(document, ())
            for newer, contradiction in _reasons(example, document, outdated, against):
                key = (example.digest, document, newer)
                found.setdefault(
                    key,
                    Supersession(
                        example=example.digest, document=document, newer=newer,
                        question=question_of(example), old=answer_of(example) or "", cycle=cycle,
                        found_at=at, reason="edition" if contradiction is None else "answer",
                        new=contradiction or "",
                    ),
                )  # fmt: skip
    return list(found.values())


def _reasons(
    example: Example, document: str, outdated: Mapping[str, str], losing: Sequence[_Conflict]
) -> Iterator[tuple[str, str | None]]:
    """The newer documents that contradict an example, each with its answer; None of an edition."""
    for conflict in losing:
        if conflict.old.example.digest == example.digest or _repeats(example, conflict.old):
            yield conflict.new.document, conflict.new.answer
    if document in outdated:
        yield outdated[document], None


def _conflicts(new: Sequence[Example], known: Sequence[Example]) -> Iterator[_Conflict]:
    """Pairs of different answers to one question of `new`, the older first. Of many the newest
    answer wins over each other one."""
    asked = {question_of(e) for e in new if e.kind == _ANSWERS}
    answers: dict[str, list[_Said]] = {}
    for example in known:
        question = question_of(example)
        if example.kind == _ANSWERS and question in asked and example.documents:
            answer = answer_of(example)
            if answer is not None:
                said = _Said(example, answer, aware(example.dated or _NEVER))
                answers.setdefault(question, []).append(said)
    for said in answers.values():
        newest = max(said, key=lambda s: s.dated)
        for other in said:
            # One text that says two things of one question says nothing of which is right.
            same = other.document == newest.document
            if not same and other.dated < newest.dated and not _alike(other.answer, newest.answer):
                yield _Conflict(other, newest)


def question_of(example: Example) -> str:
    """What the user says last."""
    return next((m.content for m in reversed(example.messages) if m.role == "user"), "")


def answer_of(example: Example) -> str | None:
    """The right answer in words; None for a call, or where a check has another form."""
    last = example.messages[-1]
    if last.role == "assistant":
        return last.content or None
    values = (example.check or {}).get("values")
    return " ".join(map(str, values)) if values else None


def words_of(text: str) -> list[str]:
    """The words of a text in lower case."""
    return _WORD.findall(text.lower())


def holds_words(text: Sequence[str], words: Sequence[str]) -> bool:
    """Whether `words` stand in `text` one after another."""
    count = len(words)
    return any(list(text[i : i + count]) == list(words) for i in range(len(text) - count + 1))


def _alike(one: str, other: str) -> bool:
    return words_of(one) == words_of(other)


def _repeats(example: Example, old: _Said) -> bool:
    """Whether an example of the same document says in other words what was contradicted."""
    subject = about(question_of(old.example))
    answer = answer_of(example)
    if subject is None or answer is None:
        return False
    said = words_of(f"{question_of(example)} {answer}")
    return holds_words(words_of(answer), words_of(old.answer)) and all(
        holds_words(said, words_of(part)) for part in subject
    )
