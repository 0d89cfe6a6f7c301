"""BFCL's items and its AST rule: what passes, what never does, and its own checker beside ours."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bfcl_package import asked, write_lines

from adapt.evals.benchmarks import Case, by_slice, cases, find
from adapt.evals.bfcl.parity import parity
from adapt.evals.bfcl.sandbox import installed
from adapt.evals.scoring.checks import mark_reply
from adapt.evals.scoring.marks import Mark
from agent.engine import Reply, ToolCall
from store.errors import ConfigError, NotFoundError

FUNCTION = {
    "name": "shop.find",
    "description": "Find what a shop sells.",
    "parameters": {
        "type": "dict",
        "properties": {
            "city": {"type": "string", "description": "Where."},
            "limit": {"type": "integer", "default": 10},
            "radius": {"type": "float"},
            "open": {"type": "boolean"},
            "days": {"type": "array", "items": {"type": "string"}},
            "point": {"type": "tuple", "items": {"type": "float"}},
            "sizes": {"type": "array", "items": {"type": "float"}},
            "filter": {"type": "dict", "properties": {"brand": {"type": "string"}}},
            "rows": {"type": "array", "items": {"type": "dict"}},
            "key": {"type": "any"},
            "when": {"type": "string"},
        },
        "required": ["city"],
    },
}
ANSWER = {
    "city": ["New York, NY", "NYC"],
    "limit": [5, ""],
    "radius": [2, ""],
    "open": [True, ""],
    "days": [["Mon", "Tue"], ""],
    "point": [[1.5, -2.0], ""],
    "sizes": [[1.0, 2.0], ""],
    "filter": [{"brand": ["Acme Inc.", "Acme"], "new": [True, ""]}, ""],
    "rows": [[{"a": [1], "b": ["x", ""]}, {"a": [2]}], ""],
    "key": [7, ""],
    "when": [3, ""],
}
"""What each parameter may be; "" for left out. `when` is listed with a variable's type."""


def record(name: str, *functions: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "question": [asked("Which?")], "function": list(functions)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One simple item, one parallel, one where nothing fits."""
    base = tmp_path / "bfcl" / "dev"
    write_lines(base / "BFCL_v4_simple_python.jsonl", [record("simple_python_0", FUNCTION)])
    write_lines(
        base / "possible_answer" / "BFCL_v4_simple_python.jsonl",
        [{"id": "simple_python_0", "ground_truth": [{"shop.find": ANSWER}]}],
    )
    calls = [{"shop.find": {"city": ["Rome"]}}, {"shop.find": {"city": ["Rome", "Paris"]}}]
    write_lines(base / "BFCL_v4_parallel.jsonl", [record("parallel_0", FUNCTION)])
    write_lines(
        base / "possible_answer" / "BFCL_v4_parallel.jsonl",
        [{"id": "parallel_0", "ground_truth": calls}],
    )
    write_lines(base / "BFCL_v4_irrelevance.jsonl", [record("irrelevance_0", FUNCTION)])
    return tmp_path


def said(text: str = "", *calls: tuple[str, dict[str, Any]]) -> Reply:
    made = tuple(ToolCall(f"c{i}", name, json.dumps(a)) for i, (name, a) in enumerate(calls))
    return Reply(text, made, "stop", 1, 1, "m")


def gold(case: Case) -> Reply:
    return said(case.gold.content, *case.gold.calls)


def mark(data: Path, *calls: tuple[str, dict[str, Any]], of: int = 0) -> Mark:
    return mark_reply(list(cases("bfcl", data))[of].item, said("", *calls))


def find_in(**arguments: Any) -> tuple[str, dict[str, Any]]:
    return ("shop_find", {"city": "NYC", **arguments})


def test_items_have_valid_schemas_and_their_gold_passes(data: Path) -> None:
    """The published types by JSON's names, and one reply that is right."""
    found = list(cases("bfcl", data))
    assert [c.item.slice for c in found] == ["simple_python", "parallel", "irrelevance"]
    function = found[0].item.tools[0]["function"]
    assert function["name"] == "shop_find"
    kinds = {k: p.get("type") for k, p in function["parameters"]["properties"].items()}
    assert (kinds["radius"], kinds["point"], kinds["filter"]) == ("number", "array", "object")
    assert kinds["key"] is None and function["parameters"]["type"] == "object"
    assert [mark_reply(c.item, gold(c)).score for c in found] == [1.0, 1.0, 1.0]
    assert found[0].gold.calls[0][1]["rows"] == [{"a": 1, "b": "x"}, {"a": 2}]


def test_files_may_have_their_published_layout(data: Path) -> None:
    """No `dev`, and JSON lines in files called .json."""
    for path in sorted((data / "bfcl" / "dev").rglob("*.jsonl")):
        to = data / "plain" / "bfcl" / path.relative_to(data / "bfcl" / "dev").with_suffix(".json")
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(path.read_text())
    assert list(cases("bfcl", data / "plain")) == list(cases("bfcl", data))


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ({}, True),
        ({"city": "new york ny"}, True),
        ({"city": "NEW-YORK_N.Y"}, True),
        ({"city": "New York NJ"}, False),
        ({"city": ["NYC"]}, False),
        ({"city": None}, False),
        ({"limit": 5}, True),
        ({"limit": 5.0}, False),
        ({"limit": "5"}, False),
        ({"limit": True}, False),
        ({"limit": ""}, False),
        ({"radius": 2}, True),
        ({"radius": 2.0}, True),
        ({"radius": 10**400}, False),
        ({"open": True}, True),
        ({"open": 1}, False),
        ({"days": ["mon", "TUE."]}, True),
        ({"days": ["Tue", "Mon"]}, False),
        ({"days": []}, True),
        ({"days": "Mon"}, False),
        ({"point": [1.5, -2.0]}, True),
        ({"point": [1.5, -2]}, True),
        ({"point": [1.5]}, False),
        ({"sizes": [1.0, 2.0]}, True),
        ({"filter": {"brand": "acme"}}, True),
        ({"filter": {"brand": "Acme", "new": True}}, True),
        ({"filter": {"new": True}}, False),
        ({"filter": {"brand": "Acme", "old": 1}}, False),
        ({"filter": {}}, False),
        ({"rows": [{"a": 1}, {"a": 2}]}, True),
        ({"rows": [{"a": 2}, {"a": 1}]}, False),
        ({"rows": [{"a": 1}]}, False),
        ({"rows": ["a", "b"]}, False),
        ({"key": 7}, True),
        ({"key": "7"}, False),
        ({"when": 3}, True),
        ({"when": "3"}, False),
        ({"nothing": 1}, False),
    ],
    ids=str,
)
def test_arguments_are_compared_by_type_and_value(
    data: Path, arguments: dict[str, Any], right: bool
) -> None:
    """Case and marks of texts do not matter, nor 2 for 2.0; everything else does.

    As in the published rule, a list that may be left out may be empty, and the types inside it are
    not looked at.
    """
    assert mark(data, find_in(**arguments)).score == float(right)


@pytest.mark.parametrize(
    "calls",
    [
        (),
        (("shop_finds", {"city": "NYC"}),),
        (("shop.find", {"city": "NYC"}),),
        (("SHOP_FIND", {"city": "NYC"}),),
        (find_in(), find_in()),
        (find_in(), ("other", {})),
        (("shop_find", {}),),
        (("shop_find", {"limit": 5}),),
    ],
)
def test_other_calls_fail(data: Path, calls: tuple[tuple[str, dict[str, Any]], ...]) -> None:
    """None, misnamed, doubled, one too many, without what is required."""
    assert mark(data, *calls).score == 0.0


def test_parallel_calls_take_any_order_and_one_each(data: Path) -> None:
    """The same call said twice is not two where the listed ones differ."""
    rome, paris = ("shop_find", {"city": "Rome"}), ("shop_find", {"city": "Paris"})
    assert mark(data, rome, paris, of=1).score == mark(data, paris, rome, of=1).score == 1.0
    assert mark(data, rome, rome, of=1).score == 1.0
    for made in ((paris, paris), (rome,), (rome, paris, rome), (paris, paris, rome)):
        assert mark(data, *made, of=1).score == 0.0


@pytest.mark.parametrize(
    "reply",
    [
        said("", *[find_in()] * 1000),
        said("", find_in(filter={"brand": [["x"] * 1000] * 100})),
        said("", find_in(**{f"p{n}": n for n in range(20_000)})),
        said("", find_in(city="-" * 1_000_000)),
        Reply("", (ToolCall("c", "shop_find", '{"city":' * 10_000),), "stop", 1, 1, "m"),
        said("word " * 100_000),
    ],
)
def test_odd_replies_are_marked_at_once(data: Path, reply: Reply) -> None:
    """However much there is of it."""
    items = [case.item for case in cases("bfcl", data)]
    started = time.process_time()
    assert [mark_reply(item, reply).score for item in items[:2]] == [0.0, 0.0]
    assert time.process_time() - started < 3.0


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("BFCL_v4_simple_python", '{"id": "simple_python_0"', "no JSON"),
        ("BFCL_v4_simple_python", '{"id": "simple_python_0"}', "lacks 'function'"),
        ("BFCL_v4_simple_python", json.dumps(record("x", FUNCTION)), "x has no answer"),
        ("BFCL_v4_simple_python", json.dumps(record("simple_python_0")), "none of its functions"),
        ("BFCL_v4_simple_python",
         json.dumps(record("simple_python_0", FUNCTION) | {"question": []}), "no list of turns"),
        ("BFCL_v4_simple_python",
         json.dumps(record("simple_python_0", FUNCTION)).replace('"float"', '"real"'),
         "no type 'real'"),
        ("possible_answer/BFCL_v4_simple_python",
         '{"id": "simple_python_0", "ground_truth": [{"f": {}, "g": {}}]}', "not one call"),
        ("possible_answer/BFCL_v4_simple_python", '{"id": "simple_python_0"}', "'ground_truth'"),
        ("possible_answer/BFCL_v4_simple_python",
         '{"id": "simple_python_0", "ground_truth": [{"shop.find": {"city": "x"}}]}', "'city'"),
    ],
)  # fmt: skip
def test_broken_files_are_named(data: Path, file: str, content: str, words: str) -> None:
    """ConfigError with the file, the line and what is wrong there."""
    (data / "bfcl" / "dev" / f"{file}.jsonl").write_text(content + "\n")
    with pytest.raises(ConfigError) as error:
        list(cases("bfcl", data))
    assert words in str(error.value) and "BFCL_v4_simple_python.jsonl:1" in str(error.value)


def test_a_folder_without_files_is_not_found(tmp_path: Path) -> None:
    """The hint says where they come from."""
    (tmp_path / "bfcl").mkdir()
    with pytest.raises(NotFoundError, match="BFCL_v4_"):
        list(cases("bfcl", tmp_path))


def _corruptions(case: Case) -> Iterator[tuple[str, Reply]]:
    yield "empty", said("")
    if not case.gold.calls:
        yield "call added", said("", ("f", {}))
        return
    (name, arguments), *rest = case.gold.calls
    yield "prose", said("I cannot say.")
    yield "wrong name", said("", (name + "s", arguments), *rest)
    yield "dropped", said("", *rest)
    yield "doubled", said("", (name, arguments), *case.gold.calls)
    yield "argument added", said("", (name, {**arguments, "not_a_parameter": 1}), *rest)


def test_published_gold_passes_and_corruptions_never_do(published_data: Path) -> None:
    """Every single-turn item of the published files, but for the listed exceptions."""
    found = [c for c in cases("bfcl", published_data) if not c.gold.turns]
    assert by_slice(c.item for c in found)["parallel"] >= 100
    exceptions = find("bfcl").exceptions
    failed = [c.item.name for c in found if mark_reply(c.item, gold(c)).score != 1.0]
    assert [name for name in failed if name not in exceptions] == []
    passed = [
        (case.item.name, kind)
        for case in found
        for kind, reply in _corruptions(case)
        if mark_reply(case.item, reply).score != 0.0
    ]
    assert passed == []


def test_parity_without_the_package_says_what_to_install(data: Path) -> None:
    """Nothing compared is an error, never agreement."""
    if installed():
        pytest.skip("the package is installed here")
    with pytest.raises(NotFoundError, match="pip install --no-deps bfcl-eval"):
        parity(data)


def test_marks_are_those_of_the_published_checker(published_data: Path) -> None:
    """On every single-turn item: the right answer and a hundred changes of it."""
    # Not imported here: the package that other tests put on the path would no longer be found.
    if not installed():
        pytest.skip("bfcl-eval is not installed")
    report = parity(published_data, turns_step=150)
    assert report["differences"] == [] and report["differ"] == 0
    assert report["compared"] > 100_000
    assert report["kinds"]["right"]["right"] == report["kinds"]["right"]["compared"]
