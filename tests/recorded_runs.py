"""Run folders with chosen replies, as `perennial eval run` writes them; no engine is asked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapt.evals.asking import Decoding, Played, as_message
from adapt.evals.items import Item, Suite
from adapt.evals.runner import make_report
from adapt.evals.runs.folders import Asked, RunFolder
from adapt.evals.runs.journal import open_journal
from adapt.evals.runs.results import Run, open_run
from adapt.evals.scoring.checks import mark_reply
from agent.engine import Reply, ToolCall
from agent.history import to_wire
from store.evidence import ItemOutcome
from store.records import Message

TOOL = {"type": "function", "function": {"name": "find_tour", "description": "", "parameters": {}}}


def suite(count: int, about: str = "") -> Suite:
    """Calls and answers in turn: slices `call/easy`, `call/hard` and `answer`."""
    items: list[Item] = []
    for number in range(count):
        call = number % 3 < 2
        check: dict[str, Any] = (
            {"kind": "call", "name": "find_tour", "arguments": {"n": number}}
            if call
            else {"kind": "answer", "values": [f"town {number}"]}
        )
        items.append(
            Item(
                suite="mixed", name=f"mixed_{number}", check=check, tools=(TOOL,) if call else (),
                slice=("call/easy", "call/hard", "answer")[number % 3],
                messages=(Message(role="user", content=f"Question {number}? {about}"),),
            )
        )  # fmt: skip
    return Suite(name="mixed", items=tuple(items))


def calling(arguments: str, name: str = "find_tour") -> Reply:
    """A reply that is one call."""
    return Reply("", (ToolCall("call-0", name, arguments),), "tool_calls", 11, 5, "m")


def saying(text: str) -> Reply:
    """A reply in words."""
    return Reply(text, (), "stop", 11, 5, "m")


def gold(item: Item) -> Reply:
    """The right reply."""
    check = item.check
    if check["kind"] == "call":
        return calling(str(check["arguments"]).replace("'", '"'))
    return saying(f"It is {check['values'][0]}.")


def recorded(
    folder: Path,
    asked: Suite,
    reply: Callable[[Item], Reply | str],
    *,
    model: str = "m",
    through: bool = True,
    measures: Callable[[Item], dict[str, float]] = lambda _: {},
) -> Run:
    """A run in which each item got that reply; a text is an engine fault. Without `through` the
    report is not written."""
    decoding = Decoding()
    run = RunFolder(folder)
    run.begin(
        Asked(
            label="mixed", suite=asked.name, suite_digest=asked.digest, items=len(asked.items),
            source="endpoint", model=model, endpoint="http://127.0.0.1:9/v1",
            decoding=vars(decoding),
        )
    )  # fmt: skip
    outcomes: list[ItemOutcome] = []
    with open_journal(run.items, pytest.fail) as journal:
        for item in asked.items:
            outcome, played = _outcome(item, reply(item), measures(item))
            outcomes.append(outcome)
            journal.add(item, outcome, played, 0.5)
    if through:
        engine: dict[str, int | float] = {"seconds": 12.0}
        run.finish(make_report(asked, model, decoding, tuple(outcomes), engine))
    return open_run(folder)


def _outcome(
    item: Item, said: Reply | str, measures: dict[str, float]
) -> tuple[ItemOutcome, Played | None]:
    shared: dict[str, Any] = {"item": item.digest, "slice": item.slice, "name": item.name}
    if isinstance(said, str):
        return ItemOutcome(**shared, score=0.0, valid=False, error=said), None
    mark = mark_reply(item, said)
    talk = [*to_wire(item.messages), as_message(said)]
    played = Played(mark, said.content, talk, said.prompt_tokens, said.completion_tokens)
    outcome = ItemOutcome(
        **shared, score=mark.score, valid=mark.valid, detail=mark.detail,
        answer=said.content[:400], measures=measures,
    )  # fmt: skip
    return outcome, played
