"""Loaders of benchmarks of calls: what they read, and that gold passes where faults do not."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from call_items import mark_of, reply_of

from adapt.evals.benchmarks import Case, Gold, cases, find
from adapt.evals.published.offering import offered
from adapt.evals.scoring.checks import mark_reply
from agent.engine import Reply
from store.errors import ConfigError

BENCHMARKS = (
    "acebench", "sealtools", "apibank", "toolalpaca", "restbench", "nestful", "metatool",
)  # fmt: skip
FIRST = 150
"""Items of each benchmark that are checked here; `perennial eval` checks all."""


def _corruptions(gold: Gold) -> Iterator[tuple[str, Reply]]:
    yield "empty", reply_of()
    yield "prose", reply_of("I cannot say.")
    if gold.calls:
        first, rest = gold.calls[0], gold.calls[1:]
        yield "another name", reply_of(calls=[("no_such", first[1]), *rest])
        yield "first dropped", reply_of(calls=rest)
        yield "last dropped", reply_of(calls=gold.calls[:-1])
        yield "doubled", reply_of(calls=[first, *gold.calls])
        yield "last doubled", reply_of(calls=[*gold.calls, gold.calls[-1]])
    else:
        lines = gold.content.splitlines()
        yield "another path", reply_of("\n".join(["GET /nowhere", *lines[1:]]))
        yield "dropped", reply_of("\n".join(lines[1:]))
        yield "doubled", reply_of("\n".join([*lines, lines[-1]]))


@pytest.mark.parametrize("name", BENCHMARKS)
def test_gold_passes_and_what_differs_from_it_does_not(name: str, published_data: Path) -> None:
    benchmark, failed, passed = find(name), set[str](), list[tuple[str, str]]()
    read = list(cases(name, published_data, FIRST))
    for case in read:
        gold = reply_of(case.gold.content, case.gold.calls)
        if mark_reply(case.item, gold).score < 1:
            failed.add(case.item.name)
        passed += [
            (case.item.name, how)
            for how, reply in _corruptions(case.gold)
            if mark_reply(case.item, reply).score > 0
        ]
    assert read
    assert failed == benchmark.exceptions.keys() & {case.item.name for case in read}
    assert passed == []


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_function_has_a_name_and_a_schema_that_models_take(
    name: str, published_data: Path
) -> None:
    for case in cases(name, published_data, FIRST):
        functions = [tool["function"] for tool in case.item.tools]
        names = [function["name"] for function in functions]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", one) for one in names)
        assert all(function["parameters"]["type"] == "object" for function in functions)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_items_are_the_same_on_every_reading(name: str, published_data: Path) -> None:
    once, again = (list(cases(name, published_data, 20)) for _ in range(2))
    assert [case.item.digest for case in once] == [case.item.digest for case in again]


def test_offers_hold_the_wanted_and_are_drawn_by_the_seed() -> None:
    catalogue = [f"t{i}" for i in range(30)]
    names = offered(["t3", "t3", "t5"], catalogue, 10, "seed", never=["t7"])
    assert {"t3", "t5"} <= set(names)
    assert len(names) == len(set(names)) == 10
    assert "t7" not in names
    assert names == offered(["t3", "t3", "t5"], catalogue, 10, "seed", never=["t7"])
    assert names != offered(["t3", "t5"], catalogue, 10, "another", never=["t7"])
    assert len(offered(catalogue, catalogue, 10, "seed")) == 30


def _write(folder: Path, name: str, *records: dict[str, Any]) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")


def _ace(answer: Any) -> list[dict[str, Any]]:
    function = {"name": "a.b", "description": "", "arguments": {"properties": {"x": {}}}}
    question = {"id": "i", "question": "user: one\nsystem: two?\nuser: three\nfour\n",
                "time": "It is May.", "function": [function]}  # fmt: skip
    return [question, {"id": "i", "ground_truth": answer}]


def _read_ace(folder: Path, answer: Any) -> Case:
    question, truth = _ace(answer)
    _write(folder, "acebench/data_normal_atom_bool.jsonl", question)
    _write(folder, "acebench/possible_answer/data_normal_atom_bool.jsonl", truth)
    return next(cases("acebench", folder))


def test_acebench_conversations_and_numbered_calls_are_read(tmp_path: Path) -> None:
    case = _read_ace(tmp_path, {"a.b_1": {"x": 1}, "a.b_2": {"x": 2}})
    said = [(message.role, message.content) for message in case.item.messages[1:]]
    assert said == [("user", "one"), ("assistant", "two?"), ("user", "three\nfour")]
    assert case.item.messages[0].content.endswith("It is May.")
    assert case.gold.calls == (("a_b", {"x": 1}), ("a_b", {"x": 2}))
    assert case.item.slice == "atom/bool"


@pytest.mark.parametrize("answer", [[], {}, "x", {"a.b": []}])
def test_an_answer_that_is_no_calls_is_named_with_its_place(tmp_path: Path, answer: Any) -> None:
    with pytest.raises(ConfigError, match=r"possible_answer/data_normal_atom_bool\.jsonl:1"):
        _read_ace(tmp_path, answer)


TOOL = {"api_name": "f", "api_description": "", "parameters": {"p": {"type": "str"}},
        "required": ["p"], "responses": {"r": {}, "s": {}}}  # fmt: skip
ASKED = {"id": "dev-easy-0", "query": "q", "calling": [{"api": "f", "parameters": {"p": "v"}}]}


def test_sealtools_says_what_calls_return_and_offers_the_wanted(tmp_path: Path) -> None:
    others = [TOOL | {"api_name": f"g{i}"} for i in range(9)]
    _write(tmp_path, "sealtools/tool.jsonl", TOOL, *others)
    _write(tmp_path, "sealtools/dev.jsonl", ASKED)
    case = next(cases("sealtools", tmp_path))
    assert len(case.item.tools) == 5
    wanted = [t["function"] for t in case.item.tools if t["function"]["name"] == "f"]
    assert [function["description"] for function in wanted] == ["\nReturns: r, s"]


@pytest.mark.parametrize(
    ("tool", "asked", "said"),
    [
        (TOOL, {"id": "dev-easy-0", "query": "q"}, r"dev\.jsonl:1 lacks 'calling'"),
        (TOOL, ASKED | {"calling": [{"api": "h", "parameters": {}}]}, r"dev\.jsonl:1: no document"),
        (TOOL | {"required": 1}, ASKED, r"tool\.jsonl:1: 'required' is of type int"),
    ],
)
def test_a_fault_of_a_loaders_file_is_named(
    tmp_path: Path, tool: dict[str, Any], asked: dict[str, Any], said: str
) -> None:
    _write(tmp_path, "sealtools/tool.jsonl", tool)
    _write(tmp_path, "sealtools/dev.jsonl", asked)
    with pytest.raises(ConfigError, match=said):
        next(cases("sealtools", tmp_path))


def test_toolalpaca_reads_values_to_come_and_optional_actions(tmp_path: Path) -> None:
    reference = {"$ref": "#/components/schemas/B"}
    body = {"content": {"application/json": {"schema": reference}}}
    documents = {
        "paths": {"/x": {"post": {"operationId": "f", "requestBody": body}}},
        "components": {"schemas": {"B": {
            "properties": {"id": {"type": "string"}, "n": {"type": "integer"}, "b": reference},
            "required": ["id"],
        }}},
    }  # fmt: skip
    actions = [
        {"Action": "f", "Action_Input": '{"id": ${id from g, "n": 3, "b": ${any thing}"}'},
        {"Action": "[Optional]f", "Action_Input": '{"id": "x"}'},
    ]
    record = {"Name": "A", "Category": "C", "Documentation": json.dumps(documents),
              "Instructions": ["Take 3 of it."], "Golden_Answers": [actions]}  # fmt: skip
    path = tmp_path / "toolalpaca" / "eval_simulated.json"
    path.parent.mkdir()
    path.write_text(json.dumps([record]), encoding="utf-8")
    item = next(cases("toolalpaca", tmp_path)).item
    assert mark_of(item, ("f", {"id": "${from g}", "n": 3})).score == 1
    assert mark_of(item, ("f", {"id": "7", "n": 3, "b": {"n": 1}}), ("f", {"id": "x"})).score == 1
    assert mark_of(item, ("f", {"id": "7"})).score == 0
    assert mark_of(item, ("f", {"n": 3})).score == 0


def test_apibank_dialogues_become_messages_that_chat_templates_take(published_data: Path) -> None:
    for case in cases("apibank", published_data, 60):
        roles = [message.role for message in case.item.messages]
        assert roles[0] == "system"
        assert roles[-1] in ("user", "tool")
        assert all("Generate API Request" not in m.content for m in case.item.messages)


def test_metatool_offers_no_tool_that_another_line_calls_right(published_data: Path) -> None:
    lines = [json.loads(line) for line in _lines(published_data / "metatool")]
    right: dict[str, set[str]] = {}
    for line in lines:
        right.setdefault(line["Query"], set()).add(line["Tool"].replace("&", "_"))
    several = {query for query, tools in right.items() if len(tools) > 1}
    found = [c for c in cases("metatool", published_data) if c.item.messages[1].content in several]
    assert found
    for case in found:
        names = {tool["function"]["name"] for tool in case.item.tools}
        assert names & right[case.item.messages[1].content] == {case.gold.calls[0][0]}


def _lines(folder: Path) -> list[str]:
    path = next(folder.rglob("single_tool.jsonl"))
    return path.read_text(encoding="utf-8").splitlines()


def test_a_broken_line_is_named_with_its_place(published_data: Path, tmp_path: Path) -> None:
    shutil.copytree(published_data / "metatool", tmp_path / "metatool")
    path = next((tmp_path / "metatool").rglob("single_tool.jsonl"))
    path.chmod(0o644)
    path.write_text(path.read_text(encoding="utf-8") + "\n{broken", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"single_tool\.jsonl:\d+ is no JSON"):
        list(cases("metatool", tmp_path))
