"""The self-check: it passes what is right, and finds each way in which a benchmark can be wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from adapt.evals.benchmarks import Case, Gold, names
from adapt.evals.items import CHECKS, Item
from adapt.evals.selfchecking.corruptions import CORRUPTIONS, spoiled
from adapt.evals.selfchecking.replaying import own_cases
from adapt.evals.selfchecking.selfcheck import selfcheck
from store.errors import NotFoundError
from store.records import Message

QUESTION = {"subject": "pets", "question": "Which barks?", "choices": ["a cat", "a dog"],
            "answer": "B"}  # fmt: skip


def mmlu(folder: Path, *records: dict[str, Any]) -> Path:
    file = folder / "retention" / "dev" / "mmlu_val.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(map(json.dumps, records)))
    return folder


def ifeval(folder: Path, keys: list[int], *rules: tuple[str, dict[str, Any]]) -> Path:
    file = folder / "retention" / "dev" / "ifeval.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    shared = {"prompt": "Write.", "instruction_id_list": [id for id, _ in rules],
              "kwargs": [given for _, given in rules]}  # fmt: skip
    file.write_text("\n".join(json.dumps({"key": key, **shared}) for key in keys))
    return folder


EXCLUSIVE = (
    ("combination:repeat_prompt", {"prompt_to_repeat": "One, two"}),
    ("punctuation:no_comma", {}),
)
"""Rules that no reply keeps."""


def test_a_sound_benchmark_is_ok_and_every_corruption_is_counted(tmp_path: Path) -> None:
    """Gold passes, nothing spoiled does, and the trivial agents get nothing."""
    told: list[tuple[str, int]] = []
    data = mmlu(tmp_path, QUESTION, {**QUESTION, "question": "Which meows?", "answer": "A"})
    found = selfcheck(data, ["mmlu"], lambda name, done: told.append((name, done)))
    counts = {"tried": 2, "passed": 0, "not_applicable": {}}
    assert found == {
        "ok": True,
        "benchmarks": {"mmlu": {
            "items": 2, "gold": 2, "exceptions": 0,
            "corruptions": dict.fromkeys(CORRUPTIONS, counts),
            "trivial": {"abstains": 0.0, "calls_everything": 0.0},
        }},
        "skipped": {}, "failures": [],
    }  # fmt: skip
    assert told == [("mmlu", 1), ("mmlu", 2)]
    assert json.loads(json.dumps(found)) == found == selfcheck(data, ["mmlu"])


def test_gold_that_does_not_pass_is_named(tmp_path: Path) -> None:
    """Rules that exclude each other: the item is a failure where it is no listed exception."""
    found = selfcheck(ifeval(tmp_path, [1], *EXCLUSIVE), ["ifeval"])
    (failure,) = found["failures"]
    assert not found["ok"] and found["benchmarks"]["ifeval"]["gold"] == 0
    assert failure == {"benchmark": "ifeval", "item": "1", "what": "gold does not pass",
                       "detail": "broke punctuation:no_comma"}  # fmt: skip
    listed = selfcheck(ifeval(tmp_path, [374], *EXCLUSIVE), ["ifeval"])
    assert listed["ok"] and listed["benchmarks"]["ifeval"]["exceptions"] == 1


def test_a_listed_exception_that_passes_is_a_failure(tmp_path: Path) -> None:
    """A list that outlives its reason would hide the next fault."""
    found = selfcheck(ifeval(tmp_path, [374], ("punctuation:no_comma", {})), ["ifeval"])
    assert [f["what"] for f in found["failures"]] == ["a listed exception passes"]


def test_spoiled_gold_that_passes_is_named(tmp_path: Path) -> None:
    """A rule that nothing can break says nothing of a model."""
    rule = ("length_constraints:number_words", {"num_words": 1, "relation": "at least"})
    found = selfcheck(ifeval(tmp_path, [1], rule), ["ifeval"])
    assert [f["what"] for f in found["failures"]] == ["spoiled gold passes: wrong"]
    assert found["benchmarks"]["ifeval"]["corruptions"]["wrong"]["passed"] == 1


def test_many_failures_of_a_sort_are_told_by_their_number(tmp_path: Path) -> None:
    """The first ones by name, the rest counted."""
    found = selfcheck(ifeval(tmp_path, list(range(1, 31)), *EXCLUSIVE), ["ifeval"])
    assert [f["item"] for f in found["failures"]] == [*map(str, range(1, 21)), ""]
    assert found["failures"][-1]["detail"] == "10 more"


def test_a_file_that_breaks_off_is_a_failure(tmp_path: Path) -> None:
    """What came before is counted, and the line is named."""
    found = selfcheck(mmlu(tmp_path, QUESTION, {"subject": 1}), ["mmlu"])
    assert found["benchmarks"]["mmlu"]["items"] == 1
    assert [f["what"] for f in found["failures"]] == ["the files cannot be read"]
    assert "mmlu_val.jsonl:2" in found["failures"][0]["detail"]


def test_files_without_items_are_a_failure(tmp_path: Path) -> None:
    """No items, no failures: that would be ok by having asked nothing."""
    assert [f["what"] for f in selfcheck(mmlu(tmp_path), ["mmlu"])["failures"]] == ["no items"]


def test_a_named_benchmark_must_be_here(tmp_path: Path) -> None:
    """One that was asked for and left out would look checked."""
    with pytest.raises(NotFoundError, match="no files of mmlu"):
        selfcheck(tmp_path, ["mmlu"])
    with pytest.raises(NotFoundError, match="no benchmark 'none'"):
        selfcheck(tmp_path, ["none"])


def test_without_files_the_universes_own_suites_are_checked(tmp_path: Path) -> None:
    """The reference solution through the real agent; abstaining is right where no tool fits."""
    found = selfcheck(tmp_path)
    assert found["ok"] and found["failures"] == []
    assert list(found["benchmarks"]) == ["tools", "general", "kept"]
    assert list(found["skipped"]) == names()
    for name, counts in found["benchmarks"].items():
        assert counts["gold"] == counts["items"] == 64
        abstains = 0.125 if name == "tools" else 0.0
        assert counts["trivial"] == {"abstains": abstains, "calls_everything": 0.0}


def case(kind: str, gold: Gold, **check: Any) -> Case:
    tools = ({"type": "function", "function": {"name": "f", "parameters": {}}},)
    item = Item(suite="s", slice="s", messages=(Message(role="user", content="?"),), tools=tools,
                check={"kind": kind, **check})  # fmt: skip
    return Case(item, gold)


CALLS = (("f", {"a": 1}), ("g", {}))
CASES = {
    "calls": case("calls", Gold(calls=CALLS), rule="bfcl", calls=[]),
    "no calls": case("calls", Gold(content="No."), rule="bfcl", calls=[]),
    "silence": case("silence", Gold(content="No.")),
    "paths": case("paths", Gold(content="GET /a\nGET /b"), paths=["GET /a", "GET /b"]),
    "called paths": case("paths", Gold(calls=CALLS), paths=[]),
    "choice": case("choice", Gold(content="B"), value="B"),
    "number": case("number", Gold(content="3+4=7\n#### 7"), value="7"),
    "text": case("text", Gold(content="The answer is Yes."), values=["Yes"], options=["Yes", "No"]),
    "span": case("span", Gold(content="the old mill"), values=["the old mill"]),
    "answer": case("answer", Gold(content="mill"), values=["mill"]),
    "exact": case("exact", Gold(content="7"), value="7"),
    "instructions": case("instructions", Gold(content="a"), instructions=[
        {"id": "punctuation:no_comma", "arguments": {}}]),
    "turns": case("turns", Gold(turns=(CALLS, ())), turns=[]),
    "toolbench": case("toolbench", Gold(calls=(*CALLS, ("Finish", {}))), relevant=["f", "g"]),
    "task": own_cases("tools", 1)[0],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_check_has_corruptions_that_differ_from_its_gold(name: str) -> None:
    """Each changes the reply, or says in words why it has no meaning."""
    one = CASES[name]
    for corruption in CORRUPTIONS:
        found = spoiled(one, corruption)
        assert found and (isinstance(found, str) or one.gold not in found)
    assert spoiled(one, "empty") == [Gold(turns=tuple(() for _ in one.gold.turns))]


def test_no_kind_of_check_is_without_corruptions() -> None:
    """But for those that only examples of an update have."""
    assert set(CHECKS) - {one.item.check["kind"] for one in CASES.values()} == {"call", "refusal"}


def test_calls_are_spoiled_one_at_a_time() -> None:
    """Another function, the last left out, the last made twice."""
    changed = {c: spoiled(CASES["calls"], c) for c in CORRUPTIONS[:3]}
    assert changed == {
        "wrong": [Gold(calls=(CALLS[0], ("no_such_function", {})))],
        "dropped": [Gold(calls=CALLS[:1])],
        "duplicated": [Gold(calls=(*CALLS, CALLS[1]))],
    }
    added = spoiled(CASES["silence"], "wrong")
    assert added == [Gold(content="No.", calls=(("f", {}),))]


@pytest.mark.parametrize("name", ["squad", "mmlu", "gsm8k", "bbh", "ifeval", "acebench"])
def test_published_benchmarks_are_sound(name: str, published_data: Path) -> None:
    """All their items; the slow ones are checked by the command."""
    found = selfcheck(published_data, [name])
    assert found["failures"] == [] and found["ok"]
