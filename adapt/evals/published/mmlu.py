"""MMLU: questions with four options over 57 subjects (Hendrycks et al., arXiv 2009.03300).

Asked without examples, the options listed. Reads `dev/mmlu_val.jsonl`: `subject`, `question`,
`choices`, `answer`. MMLU's own dev split is for examples and is not asked. Scores nothing. Called
by adapt.evals.benchmarks.
"""

import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from adapt.evals.benchmarks import Benchmark, Case, Gold
from adapt.evals.items import Item
from adapt.evals.published.reading import field, records
from store.errors import ConfigError
from store.records import Message

ASK = "Answer with the letter of the right option alone."


def load(folder: Path) -> Iterator[Case]:
    """One item a question, named by its subject and its place there; sliced by subject."""
    places: Counter[str] = Counter()
    for where, record in records(folder / "dev" / "mmlu_val.jsonl"):
        subject = field(record, "subject", where, str)
        answer = field(record, "answer", where, str)
        choices = [str(choice) for choice in field(record, "choices", where, list)]
        options = dict(zip(string.ascii_uppercase, choices, strict=False))
        if answer not in options or len(options) != len(choices):
            raise ConfigError(
                f"{where}: answer {answer!r} is not among {len(choices)} choices", "mend the file"
            )
        lines = [field(record, "question", where, str), ""]
        lines += [f"{letter}. {words}" for letter, words in options.items()]
        item = Item(
            suite="mmlu",
            slice=subject,
            name=f"{subject}/{places[subject]}",
            messages=(Message(role="user", content="\n".join([*lines, "", ASK])),),
            check={"kind": "choice", "value": answer, "options": options},
        )
        places[subject] += 1
        yield Case(item, Gold(content=answer))


BENCHMARK = Benchmark(
    name="mmlu",
    about="questions with four options over 57 subjects, no examples shown; the letter chosen",
    load=load,
    folder="retention",
)
