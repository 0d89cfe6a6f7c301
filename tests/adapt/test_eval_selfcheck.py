"""`perennial eval selfcheck` of BFCL: our marks beside those of its own checker, on the command."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bfcl_package import asked, write_lines
from command import Run, eval_command
from openai_endpoint import MODEL, Endpoint, served

from adapt.evals.bfcl.sandbox import installed

FUNCTION = {
    "name": "shop.find", "description": "Find what a shop sells.",
    "parameters": {"type": "dict", "properties": {"city": {"type": "string", "description": "."}},
                   "required": ["city"]},
}  # fmt: skip
NAME = "simple_python_0"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """BFCL with one item of one call."""
    base = tmp_path / "data" / "bfcl" / "dev"
    file = "BFCL_v4_simple_python.jsonl"
    write_lines(base / file, [{"id": NAME, "question": [asked("Which?")], "function": [FUNCTION]}])
    answer = {"id": NAME, "ground_truth": [{"shop.find": {"city": ["Rome"]}}]}
    write_lines(base / "possible_answer" / file, [answer])
    return tmp_path / "data"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    return eval_command(capsys, monkeypatch, tmp_path / "home")


def calling(city: str) -> dict[str, Any]:
    function = {"name": "shop_find", "arguments": json.dumps({"city": city})}
    call = {"id": "c", "type": "function", "function": function}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with served(lambda _: calling("Paris")) as endpoint:
        yield endpoint


def bfcl_run(run: Run, endpoint: Endpoint, data: Path) -> str:
    asking = ["--endpoint", endpoint.url, "--model", MODEL, "--data", data, "--json"]
    (folder,) = run("run", "bfcl", *asking).json["runs"]
    return folder


def test_without_bfcl_eval_the_check_says_what_to_install(
    run: Run, endpoint: Endpoint, data: Path
) -> None:
    """Skipped, but never taken for agreement; a run that was to be compared is an error."""
    if installed():
        pytest.skip("the package is installed here")
    ran = run("selfcheck", "bfcl", "--data", data, "--json")
    assert ran.code == 0 and "bfcl_parity" not in ran.json
    assert "pip install --no-deps bfcl-eval" in ran.json["skipped"]["bfcl_parity"]
    ran = run("selfcheck", "--run", bfcl_run(run, endpoint, data), "--data", data)
    assert ran.code == 2 and "pip install --no-deps bfcl-eval" in ran.err


def test_a_run_is_only_for_bfcl(run: Run, data: Path) -> None:
    ran = run("selfcheck", "general", "--run", "any", "--data", data)
    assert ran.code == 2 and "name bfcl as well" in ran.err


def test_a_models_own_replies_are_marked_by_both(run: Run, endpoint: Endpoint, data: Path) -> None:
    pytest.importorskip("bfcl_eval")
    ran = run("selfcheck", "bfcl", "--run", bfcl_run(run, endpoint, data), "--data", data, "--json")
    told = ran.json["bfcl_parity"]
    assert ran.code == 0 and ran.json["ok"] and told["differ"] == 0
    assert told["kinds"]["a model's own"] == {"compared": 1, "right": 0, "differ": 0}
    other = ["--endpoint", endpoint.url, "--model", MODEL, "--limit", 2, "--json"]
    (folder,) = run("run", "general", *other).json["runs"]
    ran = run("selfcheck", "bfcl", "--run", folder, "--data", data)
    assert ran.code == 2 and "give a run of bfcl" in ran.err


def test_the_words_on_stderr_have_the_numbers(run: Run, data: Path) -> None:
    pytest.importorskip("bfcl_eval")
    ran = run("selfcheck", "bfcl", "--data", data)
    assert ran.code == 0 and "items marked by both, 0 differ" in ran.err
