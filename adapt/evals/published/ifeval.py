"""IFEval: prompts with instructions that a program can check (Zhou et al., arXiv 2311.07911).

Reads `dev/ifeval.jsonl`: `key`, `prompt`, `instruction_id_list`, `kwargs`. Scores nothing. Called
by adapt.evals.benchmarks.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapt.evals.benchmarks import Benchmark, Case, Gold
from adapt.evals.items import Item
from adapt.evals.published.reading import field, records
from adapt.evals.scoring.instruction_arguments import arguments_of
from adapt.evals.scoring.instruction_gold import gold_for
from store.errors import ConfigError
from store.records import Message


def load(folder: Path) -> Iterator[Case]:
    """One item a prompt; its slice is the group of its first instruction."""
    for where, record in records(folder / "dev" / "ifeval.jsonl"):
        instructions = _instructions(record, where)
        item = Item(
            suite="ifeval",
            slice=instructions[0]["id"].partition(":")[0],
            name=str(field(record, "key", where, int)),
            messages=(Message(role="user", content=field(record, "prompt", where, str)),),
            check={"kind": "instructions", "instructions": instructions},
        )
        yield Case(item, Gold(content=gold_for(instructions)))


def _instructions(record: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    ids = field(record, "instruction_id_list", where, list)
    given = field(record, "kwargs", where, list)
    if not ids or len(ids) != len(given):
        raise ConfigError(
            f"{where} has {len(ids)} instructions and {len(given)} kwargs",
            "each instruction needs its kwargs",
        )
    return [
        {"id": id, "arguments": arguments_of(id, one or {}, where)}
        for id, one in zip(ids, given, strict=True)
    ]


BENCHMARK = Benchmark(
    name="ifeval",
    about="prompts with checkable instructions; all rules kept to the letter",
    load=load,
    folder="retention",
    exceptions={"374": "the prompt to repeat holds the words that are forbidden"},
)
