"""BIG-Bench Hard: 27 tasks that take several steps (Suzgun et al., arXiv 2210.09261).

Asked without examples. Reads `dev/bbh.jsonl`: `task`, `input`, `target`. Where the target is one of
the lettered options of the input the item is a choice, elsewhere the final answer is compared as
text. Scores nothing. Called by adapt.evals.benchmarks.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adapt.evals.benchmarks import Benchmark, Case, Gold
from adapt.evals.items import Item
from adapt.evals.published.reading import field, records
from store.records import Message

ASK = 'Think step by step if you need to. End with "The answer is" and the answer alone.'
_OPTION = re.compile(r"^\(([A-Z])\)[ \t]*(.*)$", re.MULTILINE)
_CLOSED = (("True", "False"), ("Yes", "No"), ("valid", "invalid"))
"""Lists of all the answers there are."""


def load(folder: Path) -> Iterator[Case]:
    """One item a record, named by its task and its place there; sliced by task."""
    places: Counter[str] = Counter()
    for where, record in records(folder / "dev" / "bbh.jsonl"):
        task, target = field(record, "task", where, str), field(record, "target", where, str)
        question = field(record, "input", where, str)
        item = Item(
            suite="bbh",
            slice=task,
            name=f"{task}/{places[task]}",
            messages=(Message(role="user", content=f"{question}\n\n{ASK}"),),
            check=_check(question, target),
        )
        places[task] += 1
        yield Case(item, Gold(content=f"The answer is {target}."))


def _check(question: str, target: str) -> dict[str, Any]:
    options = {letter: words.strip() for letter, words in _OPTION.findall(question)}
    if re.fullmatch(r"\([A-Z]\)", target) and target[1] in options:
        choice: dict[str, Any] = {"kind": "choice", "value": target[1]}
        # One question has lost its options but the first: any letter may then be chosen.
        return {**choice, "options": options} if len(options) > 1 else choice
    check: dict[str, Any] = {"kind": "text", "values": [target]}
    for words in _CLOSED:
        if target.casefold() in {word.casefold() for word in words}:
            check["options"] = list(words)
    return check


BENCHMARK = Benchmark(
    name="bbh",
    about="27 tasks of several steps, no examples shown; the final answer",
    load=load,
    folder="retention",
)
