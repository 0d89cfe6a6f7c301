"""Checks: what passes each kind, and what never does."""

from typing import Any

import pytest

from adapt.evals.items import Item, Suite
from adapt.evals.scoring.checks import mark_reply, same_json
from adapt.evals.scoring.marks import Mark
from agent.engine import Reply, ToolCall
from store.errors import ConfigError
from store.records import Message
from tools.virtual_api.tasks import REFUSAL, holds


def item(**check: Any) -> Item:
    return Item(suite="s", slice="s", messages=(Message(role="user", content="?"),), check=check)


def said(text: str = "", *calls: tuple[str, str]) -> Reply:
    """A reply with this text and these (name, raw arguments)."""
    made = tuple(ToolCall(f"c{i}", name, raw) for i, (name, raw) in enumerate(calls))
    return Reply(text, made, "stop", 1, 1, "v1")


def mark(reply: Reply, **check: Any) -> Mark:
    return mark_reply(item(**check), reply)


CALL = {"kind": "call", "name": "find_tour", "arguments": {"n": 3, "city": "Vuza", "back": True}}
RIGHT = '{"city": "Vuza", "n": 3.0, "back": true}'


def test_the_one_right_call_passes() -> None:
    """Order of arguments and 3 for 3.0 do not matter; words beside the call do not either."""
    assert mark(said("", ("find_tour", RIGHT)), **CALL).score == 1.0
    assert mark(said("I look.", ("find_tour", RIGHT)), **CALL).score == 1.0


@pytest.mark.parametrize(
    ("reply", "valid"),
    [
        (said(REFUSAL), True),
        (said(""), False),
        (said("  \n"), False),
        (said('<tool_call>{"name": "find_tour", '), False),
        (said("", ("find_tour", "{not json")), False),
        (said("", ("find_tour", "[1]")), False),
        (said("", ("find_tours", RIGHT)), True),
        (said("", ("find_tour", RIGHT), ("find_tour", RIGHT)), True),
        (said("", ("find_tour", RIGHT), ("other", "{}")), True),
        (said("", ("find_tour", '{"n": 3, "city": "Vuza"}')), True),
        (said("", ("find_tour", '{"n": 3, "city": "Vuza", "back": 1}')), True),
        (said("", ("find_tour", '{"n": "3", "city": "Vuza", "back": true}')), True),
        (said("", ("find_tour", '{"n": 3, "city": "vuza", "back": true}')), True),
        (said("", ("find_tour", '{"n": 3, "city": "Vuza", "back": true, "x": 1}')), True),
    ],
)
def test_any_other_call_fails(reply: Reply, valid: bool) -> None:
    """Refusals, nothing, malformed, wrong name, doubled, missing, mistyped or added arguments."""
    result = mark(reply, **CALL)
    assert (result.score, result.valid) == (0.0, valid)
    assert result.detail


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Vuza.", 1.0),
        ("The capital is VUZA!", 1.0),
        ("It is **Vuza**, as all know.", 1.0),
        ("Vuzak", 0.0),
        ("The capital is Vu za.", 0.0),
        (REFUSAL, 0.0),
        ("", 0.0),
    ],
)
def test_an_answer_holds_the_value_as_a_whole_word(text: str, score: float) -> None:
    """Case, marks and words around it do not matter; a longer word is another word."""
    assert mark(said(text), kind="answer", values=["Vuza"]).score == score


def test_an_answer_holds_every_value_and_whole_numbers() -> None:
    """One missing value fails, and 12 is not in 123 or 4.12."""
    check = {"kind": "answer", "values": ["123 metres", "Vuza"]}
    assert mark(said("Vuza is 123  Metres high."), **check).score == 1.0
    assert mark(said("It is 123 metres high."), **check).score == 0.0
    for text in ("123", "4.12", "12.5", "2012"):
        assert mark(said(text), kind="answer", values=["12"]).score == 0.0
    assert mark(said("12."), kind="answer", values=["12"]).score == 1.0


def test_calling_a_tool_is_no_answer() -> None:
    """A call where words are due fails, whatever stands beside it."""
    for check in ({"kind": "answer", "values": ["7"]}, {"kind": "exact", "value": "7"}):
        assert mark(said("7", ("search", "{}")), **check).score == 0.0


def test_an_exact_answer_is_that_and_nothing_else() -> None:
    """Blanks do not count; case, order and additions do."""
    check = {"kind": "exact", "value": "11 25 40"}
    assert mark(said(" 11 25  40\n"), **check).score == 1.0
    for text in ("11 40 25", "11 25 40.", "It is 11 25 40", "11 25", REFUSAL, ""):
        assert mark(said(text), **check).score == 0.0


def test_a_refusal_calls_nothing_and_says_so() -> None:
    """Silence, an invented answer, or a call with excuses is none."""
    assert mark(said(REFUSAL), kind="refusal").score == 1.0
    for reply in (said(""), said("The fare is 41."), said(REFUSAL, ("find_tour", "{}"))):
        assert mark(reply, kind="refusal").score == 0.0


def test_values_in_the_answer_to_a_task_are_whole() -> None:
    """A number inside a longer one is not that number."""
    assert holds("The count is 7.", "7") and holds("7 and 9", "9") and holds("x 41.0.", "41.0")
    for text in ("47", "4.7", "7.4", "7th", "2030-07-01", "70"):
        assert not holds(text, "7")


def test_json_equality_keeps_types_apart() -> None:
    """True is not 1, "3" is not 3, and a list is compared in order and length."""
    assert same_json({"a": [1, {"b": None}]}, {"a": [1.0, {"b": None}]})
    for one, other in ((True, 1), ("3", 3), ([1, 2], [2, 1]), ([1], [1, 1]), ({}, []), (None, 0)):
        assert not same_json(one, other)


@pytest.mark.parametrize(
    "check",
    [{}, {"kind": "guess"}, {"kind": "call", "name": "x"}, {"kind": "answer", "values": []}],
)
def test_a_check_that_cannot_be_scored_is_refused(check: dict[str, Any]) -> None:
    """Unknown kinds and missing parts are found when the item is made, not when it is asked."""
    with pytest.raises(ValueError, match="check"):
        item(**check)


def test_an_item_twice_in_a_suite_is_refused() -> None:
    """A repeated item would count as fresh evidence."""
    assert issubclass(ConfigError, ValueError)
    one = item(kind="refusal")
    with pytest.raises(ValueError, match="twice"):
        Suite(name="s", items=(one, one.model_copy(update={"slice": "other"})))


def test_the_digest_of_an_item_is_its_question() -> None:
    """The suite an item stands in does not change it; what is asked or right does."""
    one = item(kind="exact", value="7")
    assert one.model_copy(update={"suite": "kept", "slice": "x"}).digest == one.digest
    assert Item.model_validate_json(one.model_dump_json()).digest == one.digest
    assert item(kind="exact", value="8").digest != one.digest
