"""ToolBench on the command line: settings that are kept apart, who answers calls, the judge."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import Run, eval_command
from openai_endpoint import MODEL, Endpoint, served
from toolbench_cases import record, write_queries, write_replies

NAME = "forecast_for_sky_watch"
ANSWER = "No rain. " * 100
"""Longer than what an outcome keeps of an answer."""


def calls(name: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "role": "assistant", "content": "",
        "tool_calls": [{"id": "c", "type": "function", "function": function}],
    }  # fmt: skip


def finish(answer: str) -> dict[str, Any]:
    return calls("Finish", return_type="give_answer", final_answer=answer)


class Player:
    """The endpoint's answers: as a player it calls the API and ends, as a simulator it replies, as
    a judge it says `verdict`."""

    def __init__(self) -> None:
        self.verdict = "Verdict: Solved"
        self.better = "Better: 1"
        self.answer = ANSWER
        self.simulated = 0
        self.judged: list[str] = []

    def __call__(self, asked: str) -> str | dict[str, Any]:
        if '"recorded"' in asked:
            self.simulated += 1
            return '{"error": "", "response": "simulated"}'
        if asked.startswith("Query:"):
            self.judged.append(asked)
            return self.better if "Answer 2:" in asked else self.verdict
        return finish(self.answer) if '"response"' in asked else calls(NAME, city="Kyoto")


@pytest.fixture
def player() -> Player:
    return Player()


@pytest.fixture
def endpoint(player: Player) -> Iterator[Endpoint]:
    with served(player) as endpoint:
        yield endpoint


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    folder = tmp_path / "data" / "stabletoolbench" / "dev"
    folder.mkdir(parents=True)
    queries = [record(query_id=number, query=f"Will it rain {number}?") for number in range(2)]
    write_queries(folder / "G1_instruction.json", *queries)
    return eval_command(capsys, monkeypatch, tmp_path / "home")


def asking(endpoint: Endpoint, tmp_path: Path, *more: object) -> list[object]:
    given = ["run", "stabletoolbench", "--endpoint", endpoint.url, "--model", MODEL]
    return [*given, "--data", tmp_path / "data", "--json", *more]


def entries(folder: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(folder) / "items.jsonl").read_text().splitlines()]


def sources(folder: str) -> set[str]:
    """Who answered the calls of a run."""
    said = [m for entry in entries(folder) for m in entry["messages"] if m["role"] == "tool"]
    return {m["source"] for m in said} - {"protocol"}


def test_every_setting_has_a_folder_a_record_and_a_digest_of_its_own(
    run: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    settings: list[list[object]] = [
        [], ["--method", "dfsdt"], ["--limits", "toolbench"], ["--simulator", "self"],
        ["--simulator", endpoint.url, "--simulator-model", MODEL],
        ["--cache", write_replies(tmp_path / "cache", {}).parents[2]],
    ]  # fmt: skip
    folders: list[str] = []
    for more in settings:
        ran = run(*asking(endpoint, tmp_path, *more))
        assert ran.code == 0 and ran.json["suites"][0]["mean"] == 1.0, ran
        folders += ran.json["runs"]
    asked = [json.loads((Path(folder) / "run.json").read_text()) for folder in folders]
    assert len(set(folders)) == 6
    assert [one["setting"]["method"] for one in asked] == ["react", "dfsdt", *["react"] * 4]
    assert asked[3]["setting"]["simulator"] == {"url": "self", "model": MODEL}
    # Recorded replies of other APIs change nothing.
    assert asked[5]["suite_digest"] == asked[0]["suite_digest"]
    assert len({one["suite_digest"] for one in asked}) == 5
    ran = run("compare", folders[0], folders[1])
    assert ran.code == 2 and "method 'react' and 'dfsdt'" in ran.err
    ran = run("report", folders[0], "--against", folders[3], "--html", tmp_path / "page.html")
    assert ran.code == 2 and "simulator" in ran.err


def test_recorded_replies_come_first_then_the_simulator_then_templates(
    run: Run, endpoint: Endpoint, player: Player, tmp_path: Path
) -> None:
    key = json.dumps({"city": "Kyoto"})
    cache = write_replies(tmp_path / "cache", {key: {"error": "", "response": "dry"}}).parents[2]
    (plain,) = run(*asking(endpoint, tmp_path)).json["runs"]
    (simulated,) = run(*asking(endpoint, tmp_path, "--simulator", "self")).json["runs"]
    count = player.simulated
    (cached,) = run(
        *asking(endpoint, tmp_path, "--cache", cache, "--simulator", "self")
    ).json["runs"]  # fmt: skip
    assert [sources(f) for f in (plain, simulated, cached)] == [
        {"template"}, {"simulator"}, {"cache"},
    ]  # fmt: skip
    assert player.simulated == count > 0


def test_other_recorded_replies_are_another_suite_and_a_copy_is_not(
    run: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    digests: list[str] = []
    for folder, said in [("one", "dry"), ("copy", "dry"), ("other", "wet")]:
        replies = {json.dumps({"city": "Kyoto"}): {"error": "", "response": said}}
        cache = write_replies(tmp_path / folder, replies).parents[2]
        (found,) = run(*asking(endpoint, tmp_path, "--cache", cache)).json["runs"]
        digests.append(json.loads((Path(found) / "run.json").read_text())["suite_digest"])
    assert digests[0] == digests[1] != digests[2]


def test_what_does_not_go_together_is_refused(run: Run, endpoint: Endpoint, tmp_path: Path) -> None:
    for more, code, said in [
        (["--method", "mcts"], 2, "react, dfsdt"),
        (["--cache", tmp_path], 2, "Category/"),
        (["--cache", tmp_path / "none"], 2, "none"),
        (["--simulator", endpoint.url], 2, "--simulator-model"),
        (["--simulator-model", "m"], 2, "give --simulator"),
        (["--simulator", "http://127.0.0.1:9", "--simulator-model", "m"], 1, "does not answer"),
        (["--simulator", endpoint.url, "--simulator-model", "m"], 1, f"it has: {MODEL}"),
        (["--limit", 1, "--sample", 1], 2, "two ways"),
    ]:
        ran = run(*asking(endpoint, tmp_path, *more))
        assert ran.code == code and said in ran.err, (more, ran.err)
    ran = run("run", "general", "--endpoint", endpoint.url, "--model", MODEL, "--method", "react")
    assert ran.code == 2 and "--method is about stabletoolbench" in ran.err


def test_the_simulator_gets_its_own_key_and_not_that_of_the_endpoint(
    run: Run, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-endpoint")
    monkeypatch.setenv("SIMULATOR_API_KEY", "sk-simulator")
    with served(Player()) as other:
        more = ["--simulator", other.url, "--simulator-model", MODEL]
        assert run(*asking(endpoint, tmp_path, *more)).code == 0
        assert other.keys == {"Bearer sk-simulator"} and endpoint.keys == {"Bearer sk-endpoint"}


def judging(endpoint: Endpoint, *more: object) -> list[object]:
    return ["judge", *more, "--endpoint", endpoint.url, "--model", MODEL, "--json"]


def test_a_run_is_judged_by_whole_answers_and_asked_for_once(
    run: Run, endpoint: Endpoint, player: Player, tmp_path: Path
) -> None:
    (folder,) = run(*asking(endpoint, tmp_path)).json["runs"]
    ran = run(*judging(endpoint, folder))
    whole = ran.json["figures"][0]
    assert (ran.code, whole["figure"], whole["value"], whole["queries"]) == (0, "SoPR", 1.0, 2)
    assert ran.json["advisory"] and "advisory" in ran.err
    assert len(player.judged) == 6 and all(ANSWER.strip() in asked for asked in player.judged)
    again = run(*judging(endpoint, folder))
    assert again.json == ran.json and len(player.judged) == 6
    run(*judging(endpoint, folder, "--rounds", 4))
    assert len(player.judged) == 8


def test_a_query_without_an_answer_counts_in_the_denominator(
    run: Run, endpoint: Endpoint, player: Player, tmp_path: Path
) -> None:
    (folder,) = run(*asking(endpoint, tmp_path)).json["runs"]
    items = Path(folder) / "items.jsonl"
    first, second = entries(folder)
    first["outcome"]["answer"] = ""
    items.write_text("".join(json.dumps(entry) + "\n" for entry in (first, second)))
    told = run(*judging(endpoint, folder)).json
    assert told["figures"][0]["value"] == 0.5 and len(player.judged) == 3
    assert told["by_query"]["SoPR"] == {first["name"]: 0.0, second["name"]: 1.0}


def test_a_judge_that_goes_down_loses_nothing_and_is_asked_for_the_rest(
    run: Run, endpoint: Endpoint, player: Player, tmp_path: Path
) -> None:
    (folder,) = run(*asking(endpoint, tmp_path)).json["runs"]
    assert run(*judging(endpoint, folder, "--rounds", 1)).code == 0
    endpoint.refuse = (503, "overloaded")
    ran = run(*judging(endpoint, folder))
    assert ran.code == 1 and "4 requests failed" in ran.err
    assert ran.json["figures"][0]["faults"] == 4
    lines = (Path(folder) / "verdicts.jsonl").read_bytes()
    assert lines.count(b"\n") == 2
    endpoint.refuse = None
    # A kill in the middle of a line: it is asked again.
    (Path(folder) / "verdicts.jsonl").write_bytes(lines + b'{"request": "ab')
    before = len(player.judged)
    ran = run(*judging(endpoint, folder))
    assert ran.code == 0 and ran.json["figures"][0]["faults"] == 0
    assert len(player.judged) - before == 4
    with served(Player()) as other:
        other_url = other.url
    ran = run("judge", folder, "--endpoint", other_url, "--model", MODEL)
    assert ran.code == 1 and "does not answer" in ran.err
    (Path(folder) / "verdicts.jsonl").write_bytes(b"{}\n" + lines)
    ran = run(*judging(endpoint, folder))
    assert ran.code == 2 and "line 1 of" in ran.err


def test_two_settings_are_judged_against_one_another(
    run: Run, endpoint: Endpoint, player: Player, tmp_path: Path
) -> None:
    """A judge that always takes the first one has no opinion."""
    (ours,) = run(*asking(endpoint, tmp_path)).json["runs"]
    player.answer = "It stays dry."
    (theirs,) = run(*asking(endpoint, tmp_path, "--method", "dfsdt")).json["runs"]
    figures = run(*judging(endpoint, ours, "--against", theirs)).json["figures"]
    assert [(f["figure"], f["value"]) for f in figures] == [("SoPR", 1.0), ("SoWR", 0.5)]
    orders = {asked.index("It stays dry.") < asked.index("No rain.")
              for asked in player.judged if "Answer 2:" in asked}  # fmt: skip
    assert orders == {True, False}
    (few,) = run(*asking(endpoint, tmp_path, "--limit", 1)).json["runs"]
    ran = run(*judging(endpoint, ours, "--against", few))
    assert ran.code == 2 and "different queries" in ran.err


def test_what_cannot_be_judged_is_refused(run: Run, endpoint: Endpoint, tmp_path: Path) -> None:
    (folder,) = run(*asking(endpoint, tmp_path)).json["runs"]
    (Path(folder) / "report.json").unlink()
    items = Path(folder) / "items.jsonl"
    items.write_text(items.read_text().splitlines()[0] + "\n")
    ran = run(*judging(endpoint, folder))
    assert ran.code == 2 and "1 of 2 items" in ran.err
    other = run("run", "general", "--endpoint", endpoint.url, "--model", MODEL, "--limit", 2,
                "--json").json["runs"]  # fmt: skip
    ran = run(*judging(endpoint, *other))
    assert ran.code == 2 and "judge a run of stabletoolbench" in ran.err


def test_show_says_by_what_setting_a_run_was_played(
    run: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    (folder,) = run(*asking(endpoint, tmp_path, "--method", "dfsdt")).json["runs"]
    assert "method dfsdt" in run("show", folder).out
    told = run("show", folder, "--json").json
    assert told["setting"]["method"] == "dfsdt" and set(told["trivial"]) == {
        "abstains", "calls_everything",
    }  # fmt: skip
