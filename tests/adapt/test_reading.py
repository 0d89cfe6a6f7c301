"""Reading the files of published benchmarks: places, faults, and schemas of functions."""

import json
import re
from pathlib import Path

import pytest

from adapt.evals.published.reading import as_tool, field, json_schema, records, shown_names
from store.errors import ConfigError, NotFoundError


def _file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_each_record_has_its_place(tmp_path: Path) -> None:
    lines = _file(tmp_path, "a.jsonl", '{"a": 1}\n\n{"a": "x\u2028y"}\n')
    listed = _file(tmp_path, "a.json", '[{"a": 1}, {"a": 2}]')
    assert list(records(lines)) == [(f"{lines}:1", {"a": 1}), (f"{lines}:3", {"a": "x\u2028y"})]
    assert list(records(listed)) == [
        (f"{listed}:record 1", {"a": 1}), (f"{listed}:record 2", {"a": 2})
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": \n', "a.jsonl:2 is no JSON"),
        ("a.jsonl", '{"a": 1}\n[1]\n', "a.jsonl:2 is no JSON object"),
        ("a.json", '[\n{"a": 1},\n{"a": }\n]', "a.json:3 is no JSON"),
        ("a.json", '{"a": 1}', "a.json is no list"),
        ("a.json", "[1]", "a.json:record 1 is no JSON object"),
        ("a.json", "[" * 100_000, "a.json is no JSON that can be read"),
    ],
)
def test_a_fault_of_a_file_is_named_with_its_place(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        list(records(_file(tmp_path, name, text)))


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"a": "é"}'.encode("latin-1"))
    with pytest.raises(ConfigError, match="no UTF-8 at byte 7"):
        list(records(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"b\.jsonl"):
        list(records(tmp_path / "b.jsonl"))


def test_a_field_has_its_type_or_is_named_with_its_place() -> None:
    record = {"n": 3, "yes": True, "text": "t"}
    assert field(record, "n", "f:1", int) == 3
    assert field(record, "yes", "f:1", bool) is True
    with pytest.raises(ConfigError, match="f:1 lacks 'm'"):
        field(record, "m", "f:1", int)
    with pytest.raises(ConfigError, match="f:1: 'text' is of type str, not int"):
        field(record, "text", "f:1", int)
    with pytest.raises(ConfigError, match="'yes' is of type bool, not int"):
        field(record, "yes", "f:1", int)


def test_names_are_fit_for_models_and_distinct() -> None:
    published = ["a.b", "a_b", "a b", "x" * 70, "x" * 80, "", "a.b"]
    shown = shown_names(published)
    assert shown["a.b"] == "a_b"
    assert len(set(shown.values())) == len(set(published))
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in shown.values())
    assert shown_names(published) == shown


def test_types_of_every_dialect_become_those_of_json() -> None:
    kinds = {
        "dict": "object", "float": "number", "list": "array", "tuple": "array", "str": "string",
        "int": "integer", "bool": "boolean", "List[str]": "array", "Integer": "integer",
        "list(str)": "array", "any": None, "Union[List[dict], dict]": None, "datetime": None,
    }  # fmt: skip
    assert {kind: json_schema({"type": kind}).get("type") for kind in kinds} == kinds


def test_a_tool_has_a_valid_schema_at_every_depth() -> None:
    parameters = {
        "type": "dict",
        "properties": {
            "a": {"type": "tuple", "items": {"type": "float"}, "required": True},
            "b": {"type": "dict", "properties": {"c": {"type": "any", "enum": ["x"]}}},
            "broken": "text",
        },
        "required": ["b", "no such", ["b"]],
    }
    assert as_tool("x.y", "Says.", parameters) == {
        "type": "function",
        "function": {
            "name": "x_y",
            "description": "Says.",
            "parameters": {
                "type": "object",
                "properties": {
                    "a": {"type": "array", "items": {"type": "number"}},
                    "b": {"type": "object", "properties": {"c": {"enum": ["x"]}}},
                },
                "required": ["b", "a"],
            },
        },
    }
    empty = as_tool("f", "", {})["function"]["parameters"]
    assert json.dumps(empty) == '{"type": "object", "properties": {}}'
