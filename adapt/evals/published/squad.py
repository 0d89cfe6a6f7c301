"""SQuAD v1.1 asked closed-book: the question alone, without its passage.

What a model answers it knows by heart, as in SEAL (arXiv 2506.10943). Reads `dev/squad_val.json`:
articles' passages with `title` and `questions` of `question` and `answer`. Scores nothing. Called
by adapt.evals.benchmarks.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from adapt.evals.benchmarks import Benchmark, Case, Gold
from adapt.evals.items import Item
from adapt.evals.published.reading import field, records
from store.errors import ConfigError
from store.records import Message

_PARTS = ("question", "answer")
ASK = "Answer in as few words as possible."


def load(folder: Path) -> Iterator[Case]:
    """One item a question, named by its article, passage and place there; sliced by article.

    Without its passage a question that several passages have is one question: all their answers
    are right.
    """
    passages: Counter[str] = Counter()
    answers: dict[str, list[str]] = {}
    asked: list[tuple[str, str, str, str]] = []
    for where, record in records(folder / "dev" / "squad_val.json"):
        title = field(record, "title", where, str)
        for place, one in enumerate(field(record, "questions", where, list)):
            there = f"{where}, question {place}"
            if not isinstance(one, dict):
                raise ConfigError(f"{there} is no JSON object", "mend the file")
            question, answer = (field(one, key, there, str).strip() for key in _PARTS)
            answers.setdefault(question, []).append(answer)
            asked.append((title, f"{title}/{passages[title]}/{place}", question, answer))
        passages[title] += 1
    for title, name, question, answer in asked:
        item = Item(
            suite="squad",
            slice=title,
            name=name,
            messages=(Message(role="user", content=f"{question}\n\n{ASK}"),),
            check={"kind": "span", "values": sorted(set(answers[question]))},
        )
        yield Case(item, Gold(content=answer))


BENCHMARK = Benchmark(
    name="squad",
    about="questions of SQuAD without their passages; exact match, F1 beside it",
    load=load,
    folder="squad_seal",
)
