"""GSM8K: sums in words (Cobbe et al., arXiv 2110.14168).

Reads `dev/gsm8k*.jsonl`: `question`, and `answer`, a solution that ends in "#### " and the number.
Scores nothing. Called by adapt.evals.benchmarks.
"""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

from adapt.evals.benchmarks import Benchmark, Case, Gold
from adapt.evals.items import Item
from adapt.evals.published.reading import field, records
from store.errors import ConfigError, NotFoundError
from store.records import Message

ASK = "Work it out step by step. End with the answer as a number, on a line of its own."
_MARK = "####"


def load(folder: Path) -> Iterator[Case]:
    """One item a question, named by file and line; gold is the published solution."""
    files = sorted((folder / "dev").glob("gsm8k*.jsonl"))
    if not files:
        raise NotFoundError(
            f"there is no gsm8k*.jsonl in {folder / 'dev'}",
            "get it from the benchmark's repository",
        )
    for file in files:
        for where, record in records(file):
            solution = field(record, "answer", where, str)
            value = solution.rpartition(_MARK)[2].strip().replace(",", "")
            if _MARK not in solution or not _number(value):
                raise ConfigError(
                    f"{where}: no number behind {_MARK} in the answer", "mend the file"
                )
            question = field(record, "question", where, str)
            item = Item(
                suite="gsm8k",
                slice=file.stem,
                name=f"{file.stem}/{where.rpartition(':')[2]}",
                messages=(Message(role="user", content=f"{question}\n\n{ASK}"),),
                check={"kind": "number", "value": value},
            )
            yield Case(item, Gold(content=solution))


def _number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


BENCHMARK = Benchmark(
    name="gsm8k",
    about="sums in words; the last number of the reply",
    load=load,
    folder="retention",
)
