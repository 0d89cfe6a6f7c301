"""Replies made from templates: their shape, the same in every run, and bounded."""

import json
import time
from pathlib import Path

from adapt.evals.toolbench.queries import read_queries
from adapt.evals.toolbench.templates import LIST_ITEMS, made_reply


def test_a_reply_has_the_templates_shape() -> None:
    template = {
        "name": "str", "n": "int", "x": "float", "on": "bool", "gone": "NoneType",
        "none": ["empty list"], "tags": ["list of str with length 8"], "k": 5,
        "rows": [{"id": "int", "_list_length": 2}],
    }  # fmt: skip
    made = made_reply(template, "call")
    kinds = {key: type(value) for key, value in made.items()}
    assert kinds == {
        "name": str, "n": int, "x": float, "on": bool, "gone": type(None), "none": list,
        "tags": list, "rows": list, "k": int,
    }  # fmt: skip
    assert made["none"] == [] and made["k"] == 5
    assert len(made["tags"]) == LIST_ITEMS and all(isinstance(tag, str) for tag in made["tags"])
    assert [set(row) for row in made["rows"]] == [{"id"}, {"id"}]


def test_the_same_call_gets_the_same_reply_and_another_call_another() -> None:
    template = {"rows": [{"id": "str", "n": "int", "_list_length": 3}]}
    assert made_reply(template, "a") == made_reply(template, "a") != made_reply(template, "b")


def test_templates_published_as_text_are_read_and_cut_ones_are_none() -> None:
    assert set(made_reply('{"a": "int"}', "k")) == {"a"}
    assert set(made_reply('{"a": "int", "b": {"c', "k")) == {"result"}
    assert set(made_reply(None, "k")) == {"result"}


def test_a_huge_template_gives_a_bounded_reply_fast() -> None:
    deep: object = "str"
    for _ in range(200):
        deep = [{"a": deep, "b": deep, "_list_length": 9}]
    began = time.monotonic()
    made = json.dumps(made_reply({"deep": deep, "wide": {str(n): "int" for n in range(9999)}}, "k"))
    assert time.monotonic() - began < 2.0
    assert len(made) < 20_000


def test_every_published_template_makes_a_reply_that_is_json(published_data: Path) -> None:
    made = 0
    for path in (published_data / "stabletoolbench" / "dev").glob("G*.json"):
        for query in read_queries(path):
            for api in query.apis:
                json.dumps(made_reply(api.template, api.name), allow_nan=False)
                made += api.template is not None
    assert made > 1000
