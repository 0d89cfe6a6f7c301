"""Logs for Inspect: the fields it demands, the numbers of the run, and replies of every sort.

That inspect-ai opens them is checked where it is installed; it is no dependency.
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from recorded_runs import calling, gold, recorded, saying, suite

from adapt.evals.runs.inspect_log import inspect_log

SUITE = suite(12)
NAN, DEEP = '{"n": NaN}', '{"n": ' + "[" * 5_000
ODD = {
    "mixed_0": calling('{"n": 1, broken'), "mixed_1": calling(NAN), "mixed_3": calling(DEEP),
    "mixed_4": calling("[1]"), "mixed_5": saying(""), "mixed_6": calling('{"n": 7}'),
}  # fmt: skip


def log_of(tmp_path: Path, **more: Any) -> dict[str, Any]:
    """The log of a run in which six of twelve items are right and one met a dead engine."""

    def reply(item: Any) -> Any:
        return "the engine is dead" if item.name == "mixed_11" else ODD.get(item.name, gold(item))

    made = recorded(tmp_path / "run", SUITE, reply, **more)
    text = inspect_log(made)
    (tmp_path / "log.json").write_text(text)
    return json.loads(text, parse_constant=pytest.fail)


def test_the_log_has_what_inspect_demands(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    assert (log["version"], log["status"]) == (2, "success")
    assert {"created", "task", "dataset", "model", "config"} <= log["eval"].keys()
    assert (log["eval"]["task"], log["eval"]["model"]) == ("mixed", "m")
    assert log["eval"]["model_base_url"] == "http://127.0.0.1:9/v1"
    assert log["eval"]["model_generate_config"] == {
        "temperature": 0.0,
        "seed": 0,
        "max_tokens": 256,
    }
    assert log["eval"]["dataset"]["sample_ids"] == [s["id"] for s in log["samples"]]
    assert log["stats"]["model_usage"]["m"] == {
        "input_tokens": 121, "output_tokens": 55, "total_tokens": 176,
    }  # fmt: skip
    for sample in log["samples"]:
        assert {"id", "epoch", "input", "target"} <= sample.keys()


def test_the_numbers_are_those_of_the_answered_items(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    (scores,) = log["results"]["scores"]
    values = [
        s["scores"]["perennial"]["value"] for s in log["samples"] if s.get("scores") is not None
    ]
    assert (len(values), sum(values)) == (11, 5.0)
    mean = 5 / 11
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / 10 / 11)
    assert scores["metrics"]["mean"]["value"] == pytest.approx(mean)
    assert scores["metrics"]["stderr"]["value"] == pytest.approx(spread)
    assert (scores["scored_samples"], scores["unscored_samples"]) == (11, 1)
    assert log["results"]["total_samples"] == 12 and log["results"]["completed_samples"] == 11
    by_slice = {m["name"]: m["value"] for m in scores["metrics"].values() if "group" in m}
    assert by_slice["answer"] == pytest.approx(2 / 3)
    assert by_slice["call/*"] == pytest.approx(3 / 8)


def test_calls_that_are_no_json_keep_their_words_as_an_error(tmp_path: Path) -> None:
    samples = {s["id"]: s for s in log_of(tmp_path)["samples"]}
    for name, raw in [("mixed_0", "broken"), ("mixed_1", "NaN"), ("mixed_3", "[[["),
                      ("mixed_4", "[1]")]:  # fmt: skip
        (call,) = samples[name]["messages"][-1]["tool_calls"]
        assert call["arguments"] == {} and raw in call["parse_error"]
    (call,) = samples["mixed_6"]["output"]["choices"][0]["message"]["tool_calls"]
    assert call == {
        "id": "call-0", "type": "function", "function": "find_tour", "arguments": {"n": 7},
    }  # fmt: skip
    assert samples["mixed_6"]["scores"]["perennial"]["explanation"] == "other arguments"
    assert samples["mixed_5"]["scores"]["perennial"]["metadata"]["valid"] is False


def test_a_fault_is_an_error_without_a_score(tmp_path: Path) -> None:
    sample = log_of(tmp_path)["samples"][-1]
    assert sample["error"]["message"] == "the engine is dead"
    assert "scores" not in sample and sample["input"] == "mixed_11"


def test_a_run_that_is_not_through_is_cancelled_and_measures_are_metrics(tmp_path: Path) -> None:
    half = recorded(
        tmp_path / "half", SUITE, gold, through=False, measures=lambda _: {"f1": 0.5}
    )  # fmt: skip
    items = tmp_path / "half" / "items.jsonl"
    items.write_bytes(b"".join(items.read_bytes().splitlines(keepends=True)[:5]))
    log = json.loads(inspect_log(half.__class__(half.report.model_copy(
        update={"outcomes": half.report.outcomes[:5]}), half.asked, half.folder)))  # fmt: skip
    assert log["status"] == "cancelled" and len(log["samples"]) == 5
    (scores,) = log["results"]["scores"]
    assert scores["metrics"]["measure f1"] == {"name": "f1", "value": 0.5, "group": "measure"}
