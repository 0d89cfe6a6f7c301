"""Loader of ACEBench's "normal" data: conversations that one turn of calls must answer.

Reads `data_normal_*.jsonl` and the file of the same name in `possible_answer` beside it. Each is a
category: `normal_atom_bool` is of the slice `atom/bool`. Scored by
adapt.evals.scoring.acebench_rules; called by adapt.evals.benchmarks.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapt.evals.benchmarks import Benchmark, Case, Gold
from adapt.evals.items import Item
from adapt.evals.published.reading import as_tool, field, files, records, shown_names
from store.errors import ConfigError
from store.records import Message

SYSTEM = """\
Answer the last request with calls of the functions, all in one reply. Give every parameter that \
the conversation has a value for, in the conversation's words, and no other parameter."""
_TURN = re.compile(r"^(user|system): ?", re.MULTILINE)
_PREFIX = "data_normal_"
_Call = dict[str, Any]


def load(folder: Path) -> Iterator[Case]:
    """Items of all categories. ConfigError where a question has no answer of its own."""
    for path in files(folder, f"{_PREFIX}*.jsonl"):
        if path.parent.name == "possible_answer":
            continue
        answers = {
            field(answer, "id", where, str): (where, answer)
            for where, answer in records(path.parent / "possible_answer" / path.name)
        }
        group, _, kind = path.stem.removeprefix(_PREFIX).replace("_turn", "-turn").partition("_")
        for where, record in records(path):
            name = field(record, "id", where, str)
            if name not in answers:
                raise ConfigError(f"{where}: {name} has no answer", "get the file of answers anew")
            yield _case(f"{group}/{kind}", where, record, *answers[name])


def _case(
    category: str, where: str, record: Mapping[str, Any], there: str, answer: Mapping[str, Any]
) -> Case:
    functions = field(record, "function", where, list)
    named = [field(function, "name", where, str) for function in functions]
    shown = shown_names(named)
    truth = field(answer, "ground_truth", there, object)
    listed = truth if isinstance(truth, list) else [truth]
    if not listed:
        raise ConfigError(f"{there}: there is no answer", "get the file of answers anew")
    answers = [_calls(one, shown, there) for one in listed]
    item = Item(
        suite="acebench", slice=category, name=field(record, "id", where, str),
        messages=_messages(record, where),
        tools=tuple(
            as_tool(
                shown[name], str(function.get("description", "")),
                # Some documents call the parameters arguments.
                function.get("parameters") or function.get("arguments") or {},
            )
            for name, function in zip(named, functions, strict=True)
        ),
        check={"kind": "calls", "rule": "acebench", "calls": answers[0], "others": answers[1:]},
    )  # fmt: skip
    calls = tuple((call["name"], call["arguments"]) for call in answers[0])
    return Case(item, Gold(calls=calls))


def _calls(answer: Any, shown: Mapping[str, str], where: str) -> list[_Call]:
    """An answer as calls. A function called several times has a number behind its name."""
    if not isinstance(answer, dict) or not answer:
        raise ConfigError(f"{where}: an answer is no object of calls", "get the file anew")
    calls: list[_Call] = []
    for name in answer:
        known = name if name in shown else re.sub(r"_\d+$", "", name)
        arguments = field(answer, name, where, dict)
        calls.append({"name": shown.get(known, known), "arguments": arguments})
    return calls


def _messages(record: Mapping[str, Any], where: str) -> tuple[Message, ...]:
    """The conversation, which the files have as one text; what they call system is the assistant.

    The time, where one is given, belongs to the instruction.
    """
    time = str(record.get("time", "")).strip()
    parts = _TURN.split(field(record, "question", where, str))
    if len(parts) < 3 or parts[0].strip():
        raise ConfigError(f"{where}: a question must begin with `user: `", "get the file anew")
    turns = zip(parts[1::2], parts[2::2], strict=True)
    roles: Mapping[str, Any] = {"user": "user", "system": "assistant"}
    return (
        Message(role="system", content=f"{SYSTEM}\n{time}" if time else SYSTEM),
        *(Message(role=roles[said], content=text.strip()) for said, text in turns),
    )


BENCHMARK = Benchmark(
    name="acebench",
    about="calls that answer a conversation; scored by ACEBench's lenient match",
    load=load,
)
