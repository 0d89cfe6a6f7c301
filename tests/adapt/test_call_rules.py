"""Rules for calls and paths: what is right, what is not, and that nothing odd is slow."""

import json
import time
from typing import Any

import pytest
from call_items import call, item_of, mark_of, reply_of

from adapt.evals.scoring.call_values import normal_form
from adapt.evals.scoring.checks import mark_reply


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (3, "3"), (3.0, 3), ("2.50", 2.5), (True, "True"), ("Dr. Lee.", " dr. lee"),
        (["John", "Jane"], "['John', 'Jane']"), ({"a": 1, "b": [2]}, {"b": ["2"], "a": 1.0}),
    ],
)  # fmt: skip
def test_one_value_in_two_spellings_is_the_same(one: Any, other: Any) -> None:
    assert normal_form(one) == normal_form(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("007", "7"), ("8*8", "8+8"), (1, True), ([1, 2], [2, 1]), ("-3", "3"), ("", "a"),
        ("12345678901234567", "12345678901234568"), ({"a": 1}, {"b": 1}), (["a"], "a"),
    ],
)  # fmt: skip
def test_different_values_stay_different(one: Any, other: Any) -> None:
    assert normal_form(one) != normal_form(other)


def test_calls_match_one_to_one_in_any_order() -> None:
    item = item_of(rule="one_to_one", calls=[call("f", {"a": 1}), call("f", {"a": 2})])
    assert mark_of(item, ("f", {"a": 2}), ("f", {"a": "1"})).score == 1
    assert mark_of(item, ("f", {"a": 1}), ("f", {"a": 1})).score == 0
    assert mark_of(item, ("f", {"a": 1}), ("f", {"a": 2}), ("f", {"a": 2})).score == 0
    assert mark_of(item, ("f", {"a": 1}), ("f", {"a": 2, "b": 3})).score == 0


def test_figures_count_a_repeated_call_once() -> None:
    item = item_of(rule="one_to_one", calls=[call("f", {"a": 1, "b": 2})])
    measures = mark_of(item, ("f", {"a": 1, "b": 3}), ("f", {"a": 1})).measures
    assert measures["recall"] == 1
    assert measures["precision"] == 0.5
    assert measures["parameter_recall"] == 0.5
    assert measures["parameter_f1"] == pytest.approx(2 / 5)


def test_an_open_parameter_must_have_a_value_and_an_unjudged_one_need_not() -> None:
    item = item_of(
        rule="one_to_one", calls=[call("f", {"a": "x", "b": "y"}, open=["a"], unjudged=["b"])]
    )
    assert mark_of(item, ("f", {"a": "whatever"})).score == 1
    assert mark_of(item, ("f", {"a": "whatever", "b": "z"})).score == 1
    assert mark_of(item, ("f", {"b": "y"})).score == 0
    assert mark_of(item, ("f", {"a": " "})).score == 0


def test_a_call_that_may_lack_may_also_be_made_but_once() -> None:
    item = item_of(rule="one_to_one", calls=[call("f", {}), call("g", {}, may_lack=True)])
    assert mark_of(item, ("f", {})).score == 1
    assert mark_of(item, ("f", {}), ("g", {})).score == 1
    assert mark_of(item, ("f", {}), ("g", {}), ("g", {})).score == 0


@pytest.mark.parametrize(("further", "known", "strange"), [("none", 0, 0), ("offered", 1, 0),
                                                          ("any", 1, 1)])  # fmt: skip
def test_further_parameters_are_as_the_check_says(further: str, known: int, strange: int) -> None:
    item = item_of(rule="one_to_one", further=further, calls=[call("f", {"a": 1})])
    assert mark_of(item, ("f", {"a": 1, "b": 2})).score == known
    assert mark_of(item, ("f", {"a": 1, "c": 2})).score == strange


def test_what_is_not_offered_is_never_right() -> None:
    item = item_of(rule="one_to_one", calls=[call("h", {})])
    assert mark_of(item, ("h", {})).detail == "called 'h', which is not offered"


@pytest.mark.parametrize(
    ("wanted", "given", "score"),
    [
        ("Tech Report", "the tech-report of May", 1), ("5", "15", 0), (["5"], [5], 1), ("", "x", 0),
        ({"k": "Asian"}, {"k": "asian food"}, 1), ({"k": 1}, {"k": 1, "l": 2}, 0), (True, 1, 0),
    ],
)  # fmt: skip
def test_acebench_wants_its_texts_within_what_is_given(wanted: Any, given: Any, score: int) -> None:
    item = item_of(rule="acebench", calls=[call("f", {"a": wanted})])
    assert mark_of(item, ("f", {"a": given})).score == score


def test_acebench_takes_any_of_its_answers_but_whole() -> None:
    first, second = [call("f", {"a": 1}), call("g", {})], [call("f", {"a": 2})]
    item = item_of(rule="acebench", calls=first, others=[second])
    assert mark_of(item, ("f", {"a": 2})).score == 1
    assert mark_of(item, ("g", {}), ("f", {"a": 1})).score == 1
    assert mark_of(item, ("g", {}), ("f", {"a": 2})).score == 0


def test_nestful_results_may_have_any_labels_that_say_the_same() -> None:
    wanted = [call("f", {"a": 1}, label="var1"), call("g", {"a": "to $var1.x$"}, label="var2")]
    item = item_of(rule="nestful", calls=wanted)
    renamed = [call("f", {"a": 1}, label="r"), call("g", {"a": "to $r.x$"}, label="s"),
               call("var_result", {"all": "$s$"})]  # fmt: skip
    other = [call("f", {"a": 1}, label="r"), call("g", {"a": "to $var1.x$"}, label="s")]
    assert mark_reply(item, reply_of(json.dumps(renamed))).score == 1
    assert mark_reply(item, reply_of(json.dumps(other))).score == 0
    assert mark_of(item, ("f", {"a": 1}), ("g", {"a": "to $var1.x$"})).score == 1
    assert mark_of(item, ("f", {"a": 1}), ("g", {"a": "to $var1.y$"})).score == 0


def test_nestful_wants_the_order_of_the_sequence_and_measures_without_it() -> None:
    item = item_of(rule="nestful", calls=[call("f", {"a": 1}), call("g", {"a": 2})])
    mark = mark_of(item, ("g", {"a": 2}), ("f", {"a": 1}))
    assert (mark.score, mark.measures["f1"], mark.measures["parameter_f1"]) == (0, 1, 1)


PATHS = {
    "paths": ["GET /search", "GET /albums/{id}/tracks"],
    "endpoints": ["GET /search", "GET /albums/{id}/tracks", "POST /me/queue", "GET /me/{kind}"],
}


@pytest.mark.parametrize(
    "said",
    [
        "GET /search\nGET /albums/{id}/tracks",
        '["GET /search", "GET /albums/{album_id}/tracks"]',
        "1. `GET /search?q=x`\n2. GET https://api.example.com/v1/albums/4a/tracks.",
        "First GET /search, then GET /albums/{id}/tracks",
    ],
)
def test_paths_are_read_in_many_forms(said: str) -> None:
    assert mark_reply(item_of("paths", **PATHS), reply_of(said)).score == 1


@pytest.mark.parametrize(
    ("said", "rate"),
    [
        ("GET /search", 0),
        ("GET /albums/{id}/tracks\nGET /search", 0),
        ("POST /search\nGET /albums/{id}/tracks", 0),
        ("GET /search\nPOST /me/queue\nGET /albums/{id}/tracks", 1),
        ("GET /search\nGET /albums/{id}/tracks\nGET /nowhere", 1),
    ],
)
def test_only_the_exact_plan_is_right_and_the_published_rate_is_beside_it(
    said: str, rate: int
) -> None:
    mark = mark_reply(item_of("paths", **PATHS), reply_of(said))
    assert (mark.score, mark.measures["correct_path"]) == (0, rate)


RULES: dict[str, dict[str, Any]] = {
    "one_to_one": {"calls": [call("f", {"a": "x"})]},
    "acebench": {"calls": [call("f", {"a": "x"})]},
    "nestful": {"calls": [call("f", {"a": "$var1$"})]},
}


@pytest.mark.parametrize("rule", RULES)
def test_odd_arguments_are_a_wrong_answer_and_quickly_so(rule: str) -> None:
    nested: Any = "x"
    for _ in range(60):
        nested = [nested]
    odd: list[Any] = [None, nested, "$var1" * 20_000, "[" * 100_000, "9" * 4000, 1e308, {"": {}},
                      "$" * 100_000, "\u0000", list(range(50_000))]  # fmt: skip
    item, began = item_of(rule=rule, **RULES[rule]), time.monotonic()
    assert all(mark_of(item, ("f", {"a": value})).score == 0 for value in odd)
    assert mark_of(item, *[("f", {"a": f"x{i}"}) for i in range(1000)]).score == 0
    assert mark_reply(item, reply_of(f"f(a=0x{'f' * 20_000})")).score == 0
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "said",
    ["GET /" * 9_000, "GET " * 12_000, "/" * 50_000, "GET /a\n" * 7_000,
         "x" * 500_000],
)  # fmt: skip
def test_endless_paths_are_a_wrong_answer_and_quickly_so(said: str) -> None:
    began = time.monotonic()
    assert mark_reply(item_of("paths", **PATHS), reply_of(said)).score == 0
    assert time.monotonic() - began < 2
