"""BFCL's conversations: what passes, what never does, and what code of theirs can do."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bfcl_package import FUNCTIONS, make_conversations, make_package, write_lines

from adapt.evals.asking import Asker, Decoding
from adapt.evals.benchmarks import Case, cases
from adapt.evals.bfcl.mutants import conversations
from adapt.evals.bfcl.sandbox import Sandbox, installed
from adapt.evals.bfcl.turns import STEPS, judged
from adapt.evals.items import Item
from adapt.evals.scoring.marks import Mark
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from store.errors import ConfigError, NotFoundError, ToolFailed
from store.evidence import ItemOutcome

Say = Callable[[list[dict[str, Any]], list[dict[str, Any]]], Any]
"""(messages, tools) -> text, or calls."""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One conversation, and a package whose class runs it, importable."""
    monkeypatch.syspath_prepend(str(make_package(tmp_path / "package")))
    return make_conversations(tmp_path / "data")


@pytest.fixture
def case(data: Path) -> Case:
    [only] = cases("bfcl", data)
    return only


def play(item: Item, say: Say) -> tuple[ItemOutcome, list[dict[str, Any]]]:
    """The item asked of an engine that says `say`: its outcome and the requests."""

    async def ask() -> tuple[ItemOutcome, list[dict[str, Any]]]:
        fake = FakeVllm(lambda _, messages, tools: say(messages, tools), served_name="v1")
        async with Engine(Path("-"), transport=fake) as client:
            outcome, _ = await Asker(client, "v1", Decoding()).ask(item)
            return outcome, [body for _, body in fake.requests]

    return asyncio.run(ask())


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def mark(case: Case, *turns: list[tuple[str, dict[str, Any]]]) -> Mark:
    return asyncio.run(judged(case.item, turns))


def test_gold_passes_and_less_does_not(case: Case) -> None:
    """The right calls of every turn; each call left out or misnamed in turn fails."""
    gold = [list(turn) for turn in case.gold.turns]
    assert gold[0] == [
        ("open_ticket", {"title": "a"}),
        ("open_ticket", {"title": "b", "priority": 2}),
    ]
    assert mark(case, *gold) == Mark(1.0, "right", measures={"progress": 1.0, "strict": 1.0})
    for place, turn in enumerate(gold):
        for at in range(len(turn)):
            less = [*gold[:place], turn[:at] + turn[at + 1 :], *gold[place + 1 :]]
            assert mark(case, *less).score == 0.0
            name, arguments = turn[at]
            other = [*turn[:at], (name + "s", arguments), *turn[at + 1 :]]
            assert mark(case, *gold[:place], other, *gold[place + 1 :]).score == 0.0
    assert mark(case, [], [], [], []).detail == "turn 1 of 4: called nothing"


def test_a_call_where_none_is_wanted_passes_but_not_strictly(case: Case) -> None:
    """The published rule does not look at such a turn; the measure does."""
    gold = [list(turn) for turn in case.gold.turns]
    passed = mark(case, gold[0], [("count_tickets", {})], *gold[2:])
    assert passed.score == 1.0 and passed.measures["strict"] == 0.0
    assert mark(case, gold[0], [("open_ticket", {"title": "c"})], *gold[2:]).score == 0.0


def test_the_model_sees_replies_and_functions_in_their_turn(case: Case) -> None:
    """Replies follow their calls; the function held back is shown from its turn on."""
    answers = iter([
        [call("open_ticket", title=""), call("open_ticket", title="a"), call("undocumented"),
         call("_secret"), call("open_ticket", title="b", priority=2)],
        "Two are open.", "I cannot close.", [call("close_ticket", number=1)], "Closed.",
        [call("count_tickets")], "One.",
    ])  # fmt: skip
    outcome, requests = play(case.item, lambda *_: next(answers))
    assert outcome.score == 1.0 and outcome.answer == "One."
    replies = [m["content"] for m in requests[1]["messages"] if m["role"] == "tool"]
    assert replies[0] == "Error during execution: a ticket needs a title"
    assert replies[1] == '{"number": 1}' and replies[4] == '{"number": 2}'
    assert all("there is no function" in reply for reply in replies[2:4])
    shown = [{t["function"]["name"] for t in body["tools"]} for body in requests]
    assert shown[2] == FUNCTIONS.keys() - {"close_ticket"} and shown[3] == FUNCTIONS.keys()
    assert requests[3]["messages"][-1] == {"role": "user", "content": "There is more now."}
    for body in requests:
        called = [c["id"] for m in body["messages"] for c in m.get("tool_calls") or ()]
        answered = [m["tool_call_id"] for m in body["messages"] if m["role"] == "tool"]
        assert called == answered


def test_calls_that_are_text_are_played_as_calls(case: Case) -> None:
    """They stand in the history as calls, or chat templates would refuse their replies."""
    answers = iter(["[open_ticket(title='a'), open_ticket(title='b', priority=2)]", "Done.", "No.",
                    '{"name": "close_ticket", "arguments": {"number": 1}}', "Done.",
                    "count_tickets()", "One."])  # fmt: skip
    outcome, requests = play(case.item, lambda *_: next(answers))
    assert outcome.score == 1.0
    assert [m["role"] for m in requests[1]["messages"]] == ["user", "assistant", "tool", "tool"]


def test_a_turn_of_too_many_steps_ends_the_item(case: Case) -> None:
    """Twenty replies with calls and then words are a turn; one more is the end."""

    def say(after: int) -> Say:
        def said(messages: list[dict[str, Any]], tools: Any) -> Any:
            made = sum(m["role"] == "assistant" for m in messages)
            return [call("count_tickets")] if made < after else "Done."

        return said

    outcome, requests = play(case.item, say(STEPS + 5))
    assert outcome.detail == f"turn 1 of 4: more than {STEPS} steps" and len(requests) == STEPS + 1
    outcome, _ = play(case.item, say(STEPS))
    assert outcome.detail == "turn 1 of 4: another state of TicketAPI"


@pytest.mark.parametrize(
    ("said", "valid"),
    [
        ("", False),
        ("I will open them.", True),
        ("<tool_call>{", False),
        ([{"name": "open_ticket", "arguments": "{not json"}], False),
        ([{"name": "open_ticket", "arguments": '{"title":' * 5000}], False),
        ([call("open_ticket", title="a")] * 1001, False),
        ("word " * 100_000, True),
    ],
)
def test_whatever_a_model_says_is_a_mark(case: Case, said: Any, valid: bool) -> None:
    """Nothing, prose, broken calls, more calls than can be: score 0, and no fault."""
    outcome, _ = play(case.item, lambda *_: said)
    assert (outcome.score, outcome.valid, outcome.error) == (0.0, valid, None)


def test_odd_arguments_are_the_tools_replies(case: Case) -> None:
    """A thousand calls with arguments that no function takes are answered, each with its error."""
    odd = [{"self": 1}, {"a b": 1}, {"title": [[]] * 3, "priority": {"x": None}}, {}, {"number": 0}]
    made = [call("close_ticket", **odd[n % 5]) for n in range(1000)]
    answers = iter([made, "Done."])
    outcome, requests = play(case.item, lambda *_: next(answers))
    replies = [m["content"] for m in requests[1]["messages"] if m["role"] == "tool"]
    assert len(replies) == 1000 and all(r.startswith("Error during execution:") for r in replies)
    assert outcome.score == 0.0


async def _ask(case: Case, *names: str, **limits: Any) -> list[str]:
    """Replies of the sandbox to calls without arguments."""
    check = case.item.check
    async with Sandbox("tools", **limits) as box:
        await box.ask(
            "start", classes=check["classes"], functions=check["functions"], config={},
            long_context=False,
        )  # fmt: skip
        return (await box.ask("run", calls=[[name, {}] for name in names]))["replies"]


def test_tools_reach_neither_network_nor_files_nor_programs(case: Case) -> None:
    """What their code tries there is refused, and it sees no environment."""
    replies = asyncio.run(_ask(case, "connect", "write", "run_program", "fill", "environment"))
    assert all("is not allowed here" in reply for reply in replies[:3])
    assert replies[3].startswith("Error during execution")
    assert set(json.loads(replies[4].replace("'", '"'))) <= {"BFCL_PROJECT_ROOT", "LC_CTYPE"}


@pytest.mark.parametrize(
    ("name", "limits"),
    [("hang", {"cpu_s": 1}), ("hang", {"wait_s": 2.0}), ("die", {})],
)
def test_a_tool_that_hangs_or_dies_ends_in_time(
    case: Case, name: str, limits: dict[str, Any]
) -> None:
    """By CPU time or by the clock; the process is gone after it."""
    started = time.monotonic()
    with pytest.raises(ToolFailed, match=r"the tools (broke off|gave no reply)"):
        asyncio.run(_ask(case, name, **limits))
    assert time.monotonic() - started < 30


def test_a_dead_tool_is_a_mark(case: Case) -> None:
    """The model called it: the item fails, and the examination goes on."""
    outcome, _ = play(case.item, lambda *_: [call("die")])
    assert outcome.score == 0.0 and outcome.error is None
    assert outcome.detail.startswith("the tools broke off")


def test_a_long_reply_is_cut(case: Case) -> None:
    """A tool that returns megabytes does not fill the history."""
    answers = iter([[call("say", size=2_000_000)], "Done."])
    _, requests = play(case.item, lambda *_: next(answers))
    assert len(requests[1]["messages"][-1]["content"]) == 500_000


def test_without_the_package_there_are_no_conversations(tmp_path: Path) -> None:
    """They are left out when loaded, and playing one says what to install."""
    if installed():
        pytest.skip("the package is installed here")
    assert list(cases("bfcl", make_conversations(tmp_path))) == []
    with pytest.raises(NotFoundError, match="pip install --no-deps bfcl-eval"):
        Sandbox("tools")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gold": [["x.open_ticket()"], [], [], []]}, "is no call"),
        ({"gold": [["open_ticket('a'"], [], [], []]}, "is no call"),
        ({"gold": [["shut()"], [], [], []]}, "no document of 'shut'"),
        ({"gold": [["count_tickets(1)"], [], [], []]}, "too many arguments"),
        ({"gold": [[]]}, "has 4 turns, its answer 1"),
        ({"involved_classes": ["Nowhere"]}, "no class 'Nowhere'"),
        ({"missed_function": {"2": ["shut"]}}, "no document of shut"),
        ({"question": []}, "has 0 turns"),
        ({"involved_classes": "TicketAPI"}, "'involved_classes' is of type str"),
    ],
)
def test_broken_files_are_named(data: Path, change: dict[str, Any], words: str) -> None:
    """ConfigError with the file, the line and what is wrong there."""
    base = data / "bfcl" / "dev"
    file, name = "BFCL_v4_multi_turn_miss_func.jsonl", "multi_turn_miss_func_0"
    if "gold" in change:
        write_lines(base / "possible_answer" / file, [{"id": name, "ground_truth": change["gold"]}])
    else:
        record = json.loads((base / file).read_text())
        write_lines(base / file, [record | change])
    with pytest.raises(ConfigError) as error:
        list(cases("bfcl", data))
    assert words in str(error.value) and f"{file}:1" in str(error.value)


def _some(published_data: Path) -> Iterator[Case]:
    """One conversation of each category, another place in each."""
    found = [c for c in cases("bfcl", published_data) if c.gold.turns]
    return (found[n * 100 + 13 * n] for n in range(4))


def test_published_conversations_pass_with_gold_alone(published_data: Path) -> None:
    """Of each category one; without its last call none passes."""
    # Not imported here: the package that other tests put on the path would no longer be found.
    if not installed():
        pytest.skip("bfcl-eval is not installed")
    for one in _some(published_data):
        gold = [list(turn) for turn in one.gold.turns]
        marks = {kind: mark(one, *turns) for kind, turns in conversations(gold, 0)}
        assert marks["turns: right"].score == 1.0
        assert marks["turns: last call dropped"].score == 0.0
