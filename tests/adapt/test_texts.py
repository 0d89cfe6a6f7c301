"""Answers in words: what passes each kind, what never does, and the loaders of such items."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapt.evals.benchmarks import cases
from adapt.evals.items import Item
from adapt.evals.scoring.checks import mark_reply
from adapt.evals.scoring.marks import Mark
from agent.engine import Reply, ToolCall
from store.errors import ConfigError, NotFoundError
from store.records import Message

PETS = {"A": "cat", "B": "a dog", "C": "vitamin C", "D": "an owl"}
CHOICE: dict[str, Any] = {"kind": "choice", "value": "B", "options": PETS}
NUMBER: dict[str, Any] = {"kind": "number", "value": "1234"}
TRUTH: dict[str, Any] = {"kind": "text", "values": ["True"], "options": ["True", "False"]}
WORDS: dict[str, Any] = {"kind": "text", "values": ["ape bee cow"]}
SPAN: dict[str, Any] = {"kind": "span", "values": ["Denver Broncos", "The Broncos"]}


def mark(text: str, check: dict[str, Any], *calls: ToolCall) -> Mark:
    question = Message(role="user", content="?")
    item = Item(suite="s", slice="s", messages=(question,), check=check)
    return mark_reply(item, Reply(text, calls, "stop", 1, 1, "m"))


@pytest.mark.parametrize(
    "text",
    ["B", "b", "(B)", "B.", "**B**", "B)", "B. a dog", "(B) a dog", "a dog", "A dog.",
     "The answer is B.", "The answer is **(B)** a dog.", "Answer: B", "answer: (b)",
     '{"answer": "B"}', "The correct option is B", "I choose option B.", "It's B.",
     "B is correct.", "\\boxed{B}", "The answer is $\\boxed{\\text{B}}$.",
     "A. cat: no\nB. a dog: yes\nC. no\n\nThe answer is B", "Option A barks not.\n\nB",
     "<think>A or C? The answer is A.</think>B"],
)  # fmt: skip
def test_a_choice_is_read_in_the_forms_that_models_write(text: str) -> None:
    """Letter, brackets, markup, statement, or the option's own words."""
    assert mark(text, CHOICE).score == 1.0


@pytest.mark.parametrize(
    "text",
    ["A", "(C)", "A or B", "B, C", "B and C", "(A) (B)", "B\nC", "C\nThe answer is B",
     "The answer is A or B", "The answer is B. The answer is C.", "B. a dog\nThe answer is C.",
     "The answer is not B", "I cannot help with that.", "A dog is what B has", "Z",
     "A. cat\nB. a dog\nC. vitamin C\nD. an owl"],
)  # fmt: skip
def test_no_letter_or_two_letters_are_no_choice(text: str) -> None:
    """What leaves it open is wrong, also where the right letter is among what it says."""
    answer = mark(text, CHOICE)
    assert (answer.score, answer.valid) == (0.0, True)


@pytest.mark.parametrize(
    ("text", "right"),
    [("1234", True), ("1,234", True), ("It costs $1,234.00.", True), ("5 + 6, so\n#### 1234", True),
     ("1234 apples", True), ("10-1234", True), ("-1234", False), ("−1234", False),
     ("1234 or 1235", False), ("1234.5", False), ("none", False), ("12 34", False),
     ("1,2,3,1234", True), ("USD1234", True), ("4,1234", True), ("12,34", False)],
)  # fmt: skip
def test_the_last_number_of_a_reply_decides(text: str, right: bool) -> None:
    """Commas, currency and units aside; a sign counts."""
    assert mark(text, NUMBER).score == float(right)


@pytest.mark.parametrize(
    ("text", "check", "right"),
    [("True", TRUTH, True), ("true.", TRUTH, True), ("**True**", TRUTH, True),
     ("So the answer is True.", TRUTH, True), ("True, because it is not False", TRUTH, True),
     ("False", TRUTH, False), ("True\nFalse", TRUTH, False), ("Untrue", TRUTH, False),
     ("The answer is True. The answer is False.", TRUTH, False), ("It may be", TRUTH, False),
     ("ape, bee, cow", WORDS, True), ("Sorted.\nThe answer is ape bee cow.", WORDS, True),
     ("ape\nbee\ncow", WORDS, True), ("ape cow bee", WORDS, False), ("ape bee", WORDS, False),
     ("ape bee cow dog", WORDS, False), ("The answer is", WORDS, False),
     ("] } )", {"kind": "text", "values": ["] } )"]}, True),
     ("2 + 2 = 4, the answer is 2 + 2 = 4.0", {"kind": "text", "values": ["4"]}, True)],
)  # fmt: skip
def test_a_final_answer_is_compared_whole(text: str, check: dict[str, Any], right: bool) -> None:
    """Part of it, more than it, or two of them are wrong."""
    assert mark(text, check).score == float(right)


@pytest.mark.parametrize(
    ("text", "exact", "f1", "contains"),
    [("The Denver Broncos!", 1.0, 1.0, 1.0), ("broncos", 1.0, 1.0, 1.0),
     ("Denver Nuggets of Denver", 0.0, 1 / 3, 0.0), ("Denver's Broncos", 0.0, 2 / 3, 1.0),
     ("It was the Denver Broncos", 0.0, 2 / 3, 1.0), ("Panthers", 0.0, 0.0, 0.0)],
)  # fmt: skip
def test_a_span_is_compared_by_squads_normal_form(
    text: str, exact: float, f1: float, contains: float
) -> None:
    """Case, articles and punctuation aside; F1 is the best over the answers."""
    answer = mark(text, SPAN)
    assert (answer.score, answer.measures["contains"]) == (exact, contains)
    assert answer.measures["f1"] == pytest.approx(f1)


@pytest.mark.parametrize("check", [CHOICE, NUMBER, TRUTH, WORDS, SPAN], ids=lambda c: c["kind"])
def test_silence_is_invalid_and_a_call_is_no_answer(check: dict[str, Any]) -> None:
    """Neither scores, and only silence is malformed."""
    for text in ("", "  \n", "<think>B 1234 True</think>"):
        assert (mark(text, check).score, mark(text, check).valid) == (0.0, False)
    called = mark("B", check, ToolCall("c", "f", "{}"))
    assert (called.score, called.valid) == (0.0, True)


@pytest.mark.parametrize("check", [CHOICE, NUMBER, TRUTH, WORDS, SPAN], ids=lambda c: c["kind"])
@pytest.mark.parametrize(
    "piece",
    ["the answer is ", "(A", "1", "9,", "-", " ", "\n", "\\boxed{", "A, ", '"', "$", "B) \n",
     "</think>", "answer" + " " * 500, "answer\n"],
)  # fmt: skip
def test_a_hundred_thousand_tokens_are_read_in_no_time(check: dict[str, Any], piece: str) -> None:
    """No pattern goes over the same text again and again."""
    started = time.process_time()
    mark(piece * (400_000 // len(piece)) + "x", check)
    assert time.process_time() - started < 5.0


RECORDS: dict[str, tuple[str, Any, str, str]] = {
    "mmlu": ("retention/dev/mmlu_val.jsonl",
             {"subject": "pets", "question": "Which barks?", "choices": list(PETS.values()),
              "answer": "B"}, "pets/0", "pets"),
    "gsm8k": ("retention/dev/gsm8k_test.jsonl",
              {"question": "2000 less 766?", "answer": "It is 2000-766=1234.\n#### 1,234"},
              "gsm8k_test/1", "gsm8k_test"),
    "bbh": ("retention/dev/bbh.jsonl",
            {"task": "pets", "input": "Which barks?\nOptions:\n(A) cat\n(B) dog", "target": "(B)"},
            "pets/0", "pets"),
    "squad": ("squad_seal/dev/squad_val.json",
              [{"title": "Dogs", "context": "Dogs bark.",
                "questions": [{"question": "What barks?", "answer": "Dogs"}]}],
              "Dogs/0/0", "Dogs"),
}  # fmt: skip
"""One file each: its place, its record, the item's name and slice."""


def written(data: Path, name: str, change: Callable[[Any], Any] = lambda record: record) -> None:
    place, record, _, _ = RECORDS[name]
    file = data / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(change(json.loads(json.dumps(record)))))


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_becomes_an_item_that_its_gold_passes(name: str, tmp_path: Path) -> None:
    """The name is made of where it stands; a closed book shows no passage."""
    written(tmp_path, name)
    (case,) = cases(name, tmp_path)
    assert (case.item.name, case.item.slice) == RECORDS[name][2:]
    assert mark_reply(case.item, Reply(case.gold.content, (), "stop", 1, 1, "m")).score == 1.0
    assert "Dogs bark." not in case.item.messages[0].content


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [("mmlu", "answer", "E"), ("mmlu", "choices", "cat"), ("gsm8k", "answer", "#### many"),
     ("gsm8k", "answer", "1234"), ("bbh", "target", None)],
)  # fmt: skip
def test_a_record_that_cannot_be_asked_is_named(
    name: str, field: str, value: Any, tmp_path: Path
) -> None:
    """The file and the line are in the words of the error."""
    written(tmp_path, name, lambda record: {**record, field: value})
    with pytest.raises(ConfigError, match=rf"{Path(RECORDS[name][0]).name}:1"):
        list(cases(name, tmp_path))


def test_a_folder_without_the_files_is_told(tmp_path: Path) -> None:
    """GSM8K is published in several files: none of them is an error, not no items."""
    (tmp_path / "retention" / "dev").mkdir(parents=True)
    with pytest.raises(NotFoundError, match="gsm8k"):
        list(cases("gsm8k", tmp_path))


def test_a_question_of_several_passages_takes_all_their_answers(tmp_path: Path) -> None:
    """Asked without its passage it is one question."""
    again = {"title": "Dogs", "context": "", "questions": [{"question": "What barks?",
                                                            "answer": "Hounds"}]}  # fmt: skip
    written(tmp_path, "squad", lambda articles: [*articles, again])
    found = list(cases("squad", tmp_path))
    assert [case.item.check["values"] for case in found] == [["Dogs", "Hounds"]] * 2


@pytest.mark.parametrize(
    ("name", "count"), [("squad", 5665), ("mmlu", 1494), ("gsm8k", 1000), ("bbh", 3254)]
)
def test_every_published_gold_passes(name: str, count: int, published_data: Path) -> None:
    """All items of the development half."""
    found = list(cases(name, published_data))
    failed = [
        case.item.name for case in found
        if mark_reply(case.item, Reply(case.gold.content, (), "stop", 1, 1, "m")).score != 1.0
    ]  # fmt: skip
    assert (len(found), failed) == (count, [])
