"""`perennial eval`, from arguments to exit code, over real run folders and a real endpoint."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import fake_runtime
import pytest
from command import Run, eval_command
from openai_endpoint import MODEL, Endpoint, served

import perennial
from adapt.evals.runs.folders import Asked
from adapt.evals.runs.watch import GIVE_UP, Watch
from adapt.evals.suites import general_suite
from store import Home, Store
from store.embeddings import HashEmbedder
from store.evidence import EvalReport, ItemOutcome
from store.records import utc_now

ROOT = Path(perennial.__file__).parent
SUITE = general_suite(1, 24)
RIGHT = {i.messages[-1].content: i.check["value"] for i in SUITE.items}
FIRST = [i.messages[-1].content for i in SUITE.items[:3]]
KEY = "sk-secret-0123456789"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `perennial eval ...` in this process, on a home of this test."""
    return eval_command(capsys, monkeypatch, tmp_path / "home")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Answers every item of `general` rightly, but for the first three."""
    with served(lambda asked: "?" if asked in FIRST else RIGHT.get(asked, "?")) as endpoint:
        yield endpoint


def asking(endpoint: Endpoint, *more: object) -> list[object]:
    """The arguments of a run of 24 items."""
    given = ["run", "general", "--endpoint", endpoint.url, "--model", MODEL]
    return [*given, "--limit", 24, *more]


def runs_of(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "home" / "evals").iterdir())


def test_a_run_gives_scores_by_slice_and_a_folder_with_all_that_was_said(
    run: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    ran = run(*asking(endpoint, "--json"))
    assert ran.code == 0, ran.err
    whole = ran.json["suites"][0]
    assert (whole["slice"], whole["mean"], whole["items"]) == ("all", 21 / 24, 24)
    assert whole["low"] < 21 / 24 < whole["high"]
    assert {row["slice"] for row in ran.json["suites"][1:]} == {i.slice for i in SUITE.items}
    (folder,) = runs_of(tmp_path)
    assert re.fullmatch(rf"general-{MODEL}-[0-9a-f]{{8}}", folder.name)
    report = EvalReport.model_validate_json((folder / "report.json").read_text())
    assert [report.digest] == ran.json["reports"]
    assert (report.suite_digest, report.version) == (SUITE.digest, MODEL)
    assert [o.item for o in report.outcomes] == [i.digest for i in SUITE.items]
    lines = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    assert {tuple(m["role"] for m in line["messages"]) for line in lines} == {
        ("system", "user", "assistant")
    }
    assert sum(line["prompt_tokens"] for line in lines) == 24 * 11


def test_a_finished_run_is_shown_without_asking_and_fresh_keeps_it_aside(
    run: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    first = run(*asking(endpoint, "--json")).json
    assert len(endpoint.asked) == 24
    again = run(*asking(endpoint, "--json"))
    assert again.json == first and len(endpoint.asked) == 24
    fresh = run(*asking(endpoint, "--fresh", "--json"))
    assert len(endpoint.asked) == 48 and fresh.json["reports"] == first["reports"]
    kept, other = runs_of(tmp_path)
    assert other.name == f"{kept.name}.1" and str(other) in fresh.err
    assert (other / "report.json").is_file()


@pytest.mark.parametrize("held", ["{", ""])
@pytest.mark.parametrize("spoiled", ["run.json", "report.json"])
def test_fresh_begins_anew_whatever_the_folder_holds(
    run: Run, endpoint: Endpoint, tmp_path: Path, spoiled: str, held: str
) -> None:
    """A file that cannot be read is kept aside with its folder, and stops nobody."""
    first = run(*asking(endpoint, "--json")).json
    (folder,) = runs_of(tmp_path)
    (folder / spoiled).write_text(held)
    again = run(*asking(endpoint, "--fresh", "--json"))
    assert again.code == 0 and again.json["reports"] == first["reports"]
    assert (folder.with_name(f"{folder.name}.1") / spoiled).read_text() == held


def started(endpoint: Endpoint, tmp_path: Path, out: Path) -> subprocess.Popen[bytes]:
    """The same run in a process of its own, half of it done."""
    words = [str(word) for word in asking(endpoint, "--out", out, "--concurrency", 2)]
    process = subprocess.Popen(
        [sys.executable, "-m", "perennial", "eval", *words, "--home", str(tmp_path / "home")],
        cwd=ROOT, env={**os.environ, "OPENAI_API_KEY": KEY}, stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(endpoint.asked) < 12:
        assert process.poll() is None and time.monotonic() < deadline, "it did not start"
        time.sleep(0.01)
    return process


def test_a_killed_run_goes_on_and_ends_with_the_digest_of_one_that_was_not(
    run: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    whole = run(*asking(endpoint, "--json")).json["reports"]
    endpoint.asked.clear()
    endpoint.delay_s = 0.1
    process = started(endpoint, tmp_path, tmp_path / "killed")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    endpoint.delay_s = 0.0
    time.sleep(0.3)
    items = tmp_path / "killed" / "items.jsonl"
    done = items.read_bytes().count(b"\n")
    with items.open("ab") as file:
        file.write(b'{"item": "abc')
    unfinished = run("show", tmp_path / "killed")
    assert f"unfinished: {done} of 24" in unfinished.out
    endpoint.asked.clear()
    ran = run(*asking(endpoint, "--out", tmp_path / "killed", "--json"))
    assert ran.json["reports"] == whole
    assert 0 < len(endpoint.asked) == 24 - done < 24
    assert "cut off" in ran.err


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.delay_s = 1.0
    process = started(endpoint, tmp_path, tmp_path / "stopped")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"stopped after \d+ of 24 items, .* the same command goes on", said.decode())
    assert "Traceback" not in said.decode()


def test_the_key_is_sent_and_stands_in_no_file_and_no_error(
    run: Run, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    endpoint.refuse = (401, f"Incorrect API key provided: {KEY}")
    ran = run(*asking(endpoint))
    assert ran.code == 1 and endpoint.keys == {f"Bearer {KEY}"}
    endpoint.refuse = None
    ran = run(*asking(endpoint))
    assert ran.code == 0 and KEY not in ran.out + ran.err
    files = [path.read_text() for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert len(files) == 3 and not any(KEY in text for text in files)


def test_engine_faults_are_no_scores_and_are_asked_again(run: Run, endpoint: Endpoint) -> None:
    right = endpoint.answer
    endpoint.answer = lambda asked: {"tool_calls": [{}]} if asked in FIRST else right(asked)
    ran = run(*asking(endpoint, "--json"))
    whole = ran.json["suites"][0]
    assert (ran.code, whole["faults"], whole["mean"]) == (1, 3, 1.0)
    assert "3 engine faults" in ran.err
    endpoint.asked.clear()
    endpoint.answer = right
    ran = run(*asking(endpoint, "--json"))
    assert ran.code == 0 and ran.json["suites"][0]["faults"] == 0
    assert sorted(endpoint.asked) == sorted(FIRST)


def test_a_run_stops_when_the_engine_keeps_failing() -> None:
    """What comes later would fail as well; an answer between faults starts the count again."""
    watch = Watch("general", 1000, 0, lambda _: None)
    good = ItemOutcome(item="a", slice="s", score=1.0)
    bad = ItemOutcome(item="b", slice="s", score=0.0, error="the engine is dead")
    for done in range(GIVE_UP - 1):
        watch(done, bad)
    watch(GIVE_UP, good)
    for done in range(GIVE_UP - 1):
        watch(GIVE_UP + done, bad)
    with pytest.raises(Exception, match="the engine is dead"):
        watch(2 * GIVE_UP, bad)


def test_progress_tells_score_interval_rate_and_time_left() -> None:
    watch = Watch("general", 100, 20, lambda _: None)
    for done in range(40):
        watch(done + 1, ItemOutcome(item=str(done), slice="s", score=float(done % 2)))
    said = watch.line(40, 10.0)
    # Twenty of the forty were known before: two a second, thirty seconds for the other sixty.
    assert said == "general: 40 of 100, 0.500 (0.352 to 0.648), 2.0 a second, 30 s left"
    assert "1 h 23 min left" in watch.line(40, 1000 * 5 / 3)


def test_an_edited_suite_and_another_run_are_refused_and_nothing_is_lost(
    run: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(*asking(endpoint, "--out", out))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    ran = run(*asking(endpoint, "--out", out, "--max-tokens", 9))
    assert ran.code == 2 and "another run: its decoding" in ran.err and "--fresh" in ran.err
    asked = Asked.model_validate_json(before["run.json"])
    edited = asked.model_copy(update={"suite_digest": "0" * 64})
    (out / "run.json").write_text(edited.model_dump_json())
    ran = run(*asking(endpoint, "--out", out))
    assert ran.code == 2 and "was edited between the two runs" in ran.err
    (out / "run.json").write_bytes(before["run.json"])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_folder_that_is_none_of_a_run_is_left_alone(
    run: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    for more in ([], ["--fresh"]):
        ran = run(*asking(endpoint, "--out", tmp_path / "mine", *more))
        assert ran.code == 2 and "no run folder" in ran.err
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    ran = run(*asking(endpoint, "--out", tmp_path / "mine" / "letter.txt"))
    assert ran.code == 2 and "is a file" in ran.err


def test_what_cannot_be_asked_is_refused_with_the_way_out(
    run: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    at = ["--endpoint", endpoint.url]
    for arguments, code, said in [
        (["run", "generel", *at, "--model", MODEL], 2, "general"),
        (["run", "gsm8k", *at, "--model", MODEL, "--data", tmp_path], 2, "--data"),
        (["run", "general", *at], 2, "--model"),
        (["run", "general", *at, "--model", "other"], 1, f"it has: {MODEL}"),
        (["run", "general", "--endpoint", "http://127.0.0.1:9/v1", "--model", "m"], 1, "URL"),
        (["run", "general", "--endpoint", "nowhere", "--model", "m"], 2, "https://host/v1"),
        (["run", "general", *at, "--model", MODEL, "--version", "v1"], 2, "two things"),
        (["run", "general", "--version", "v1"], 2, "no home"),
        (["run", "general", *at, "--model", MODEL, "--limit", "0"], 2, "--limit"),
        (["run", "general", "--model", tmp_path], 2, "config.json"),
        (["show", "nothing"], 2, "perennial eval run makes one"),
    ]:
        ran = run(*arguments)
        assert (ran.code, ran.out) == (code, ""), (arguments, ran)
        assert said in ran.err and "Traceback" not in ran.err, (arguments, ran.err)
    assert not (tmp_path / "home" / "evals").exists(), "a refused run leaves nothing behind"


def test_the_list_has_suites_of_the_home_and_published_ones(run: Run, tmp_path: Path) -> None:
    rows = {row["name"]: row for row in run("list", "--data", tmp_path, "--json").json}
    assert rows["general"]["items"] == 200 and rows["general"]["kind"] == "home"
    assert rows["gsm8k"]["items"] is None and str(tmp_path) in rows["gsm8k"]["trouble"]
    assert all(row["about"] for row in rows.values())
    shown = run("list", "--data", tmp_path)
    assert re.search(r"gsm8k +published +no files", shown.out)


def test_published_files_are_counted(run: Run, published_data: Path) -> None:
    rows = {row["name"]: row for row in run("list", "--data", published_data, "--json").json}
    assert all(row["items"] for row in rows.values()), rows


def test_two_runs_are_compared_item_by_item(run: Run, endpoint: Endpoint, tmp_path: Path) -> None:
    run(*asking(endpoint, "--out", tmp_path / "one"))
    endpoint.answer = lambda asked: "?" if asked in FIRST[1:] else RIGHT[asked]
    run(*asking(endpoint, "--out", tmp_path / "two"))
    told = run("compare", tmp_path / "one", tmp_path / "two", "--json").json
    whole = told["slices"][0]
    assert (whole["items"], whole["won"], whole["lost"]) == (24, 1, 0)
    assert whole["difference"] == pytest.approx(1 / 24)
    assert whole["low"] <= 1 / 24 <= whole["high"]
    assert told["won"] == [SUITE.items[0].digest[:12]] and told["lost"] == []
    assert told["mcnemar_p"] == 1.0 and 0 < told["e_worse"] < 1
    shown = run("compare", tmp_path / "two", tmp_path / "one").out
    assert "-0.042" in shown and f"lost: {SUITE.items[0].digest[:12]}" in shown


def test_runs_that_are_not_alike_are_not_compared(
    run: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    run(*asking(endpoint, "--out", tmp_path / "one"))
    run(*asking(endpoint, "--max-tokens", 9, "--out", tmp_path / "short"))
    run("run", "general", "--endpoint", endpoint.url, "--model", MODEL, "--limit", 5,
        "--out", tmp_path / "few")  # fmt: skip
    ran = run("compare", tmp_path / "one", tmp_path / "short")
    assert ran.code == 2 and "max_tokens 256 and 9" in ran.err
    ran = run("compare", tmp_path / "one", tmp_path / "few")
    assert ran.code == 2 and "different items" in ran.err and "--limit" in ran.err


def test_show_lists_what_is_wrong_and_a_whole_transcript(
    run: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    right = endpoint.answer
    hostile = "[red]\x1b[31mred\x07 <b>\u202e" + "long " * 30_000
    endpoint.answer = lambda asked: hostile if asked in FIRST else right(asked)
    run(*asking(endpoint))
    rows = run("show", "general", "--failed", "--json").json
    assert {row["item"] for row in rows} == {i.digest[:12] for i in SUITE.items[:3]}
    assert len(run("show", "general", "--failed", "--limit", 2, "--json").json) == 2
    for arguments in (["--failed"], ["--item", SUITE.items[0].digest[:12]]):
        ran = run("show", "general", *arguments)
        assert ran.code == 0 and "[red]" in ran.out
        assert not set("\x1b\x07\u202e") & set(ran.out)
    assert FIRST[0] in ran.out and "more characters]" in ran.out and len(ran.out) < 30_000
    whole = run("show", "general", "--item", SUITE.items[0].digest[:12], "--json").json
    assert whole["messages"][-1]["content"] == hostile
    ran = run("show", "general", "--item", "nonsense")
    assert ran.code == 2 and "no item 'nonsense'" in ran.err


def test_a_run_is_found_by_folder_name_digest_and_version(
    run: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    (digest,) = run(*asking(endpoint, "--json")).json["reports"]
    (folder,) = runs_of(tmp_path)
    for name in (folder, folder.name, folder.name[:9], digest, digest[:8]):
        assert run("show", name, "--json").json["digest"] == digest, name
    outcomes = tuple(
        ItemOutcome(item=i.digest, slice=i.slice, score=0.0) for i in SUITE.items
    )  # fmt: skip
    report = EvalReport(
        digest="a" * 64, version="v0-bbbbbb", suite="general", suite_digest=SUITE.digest,
        decoding={"max_tokens": 256}, engine={}, outcomes=outcomes, created_at=utc_now(),
    )  # fmt: skip
    with Store.open(Home(tmp_path / "home"), HashEmbedder()) as store:
        fake_runtime.ensure_base(store, fake_runtime.BASE)
        store.reports.add_eval(report)
        store.reports.add_eval(report.model_copy(update={"digest": "b" * 64, "suite": "kept"}))
    assert run("show", "a" * 64, "--json").json["suite"] == "general"
    ran = run("show", "v0-bbbbbb")
    assert ran.code == 2 and "general, kept" in ran.err and "--suite" in ran.err
    assert run("show", "v0-bbbbbb", "--suite", "kept", "--json").json["digest"] == "b" * 64
    ran = run("show", "v0-bbbbbb", "--suite", "tools")
    assert ran.code == 2 and "never asked tools" in ran.err
    ran = run("show", "v0-bbbbbb", "--suite", "kept", "--item", SUITE.items[0].digest)
    assert ran.code == 2 and "no transcripts" in ran.err


def test_several_suites_have_a_folder_each(run: Run, endpoint: Endpoint, tmp_path: Path) -> None:
    arguments = ["--endpoint", endpoint.url, "--model", MODEL, "--limit", 2]
    ran = run("run", "general", "pico/facts", "general", *arguments, "--out", tmp_path / "o")
    assert ran.code == 0 and sorted(p.name for p in (tmp_path / "o").iterdir()) == [
        "general", "pico-facts",
    ]  # fmt: skip
    assert run("show", tmp_path / "o" / "pico-facts", "--json").json["suite"] == "pico/facts"


def test_a_page_and_a_log_are_written(run: Run, endpoint: Endpoint, tmp_path: Path) -> None:
    run(*asking(endpoint))
    page, log = tmp_path / "new" / "page.html", tmp_path / "log.json"
    ran = run("report", "general", "--html", page, "--inspect", log, "--json")
    assert ran.json == {"html": str(page), "inspect": str(log)}
    assert "0.875" in page.read_text() and json.loads(log.read_text())["status"] == "success"
    for arguments, said in [
        ([], "nothing to write"), (["--inspect", tmp_path / "log.eval"], ".json"),
        (["--html", tmp_path], "is a folder"), (["--inspect", log, "--against", "x"], "--html"),
    ]:  # fmt: skip
        ran = run("report", "general", *arguments)
        assert ran.code == 2 and said in ran.err


def test_selfcheck_passes_our_suites_and_fails_what_holds_nothing(run: Run, tmp_path: Path) -> None:
    ran = run("selfcheck", "general", "--data", tmp_path, "--json")
    assert ran.code == 0 and ran.json["benchmarks"]["general"]["items"] > 0
    (tmp_path / "bfcl").mkdir()
    ran = run("selfcheck", "bfcl", "--data", tmp_path)
    assert ran.code == 1 and "failed: bfcl" in ran.err
    assert run("selfcheck", "nonsense", "--data", tmp_path).code == 2


def test_a_run_on_a_home_asks_the_server_that_holds_it_and_keeps_the_report(
    run: Run, tmp_path: Path
) -> None:
    """The live version over the engine's socket, behind what users ask; not one it lacks."""
    home = Home(tmp_path / "home")
    with Store.open(home, HashEmbedder()) as store:
        base = fake_runtime.ensure_base(store, fake_runtime.BASE)
        live = base.model_copy(update={"name": MODEL, "digest": "c" * 64, "number": 1})
        store.versions.create(live.model_copy(update={"kind": "adapter", "path": "c" * 64}))
        store.versions.go_live(MODEL)
    with (
        tempfile.TemporaryDirectory() as short,
        served(lambda asked: RIGHT.get(asked, "?"), Path(short) / "engine.sock") as engine,
        home.lock(),
    ):
        socket = Path(short) / "engine.sock"
        engine.named = MODEL
        told = {
            "name": "engine", "place": str(socket), "ready": True, "served": "base",
            "weights": "base", "adapters": [MODEL],
        }  # fmt: skip
        home.write_status({"url": "http://127.0.0.1:9", "pid": os.getpid(), "engines": [told]})
        ran = run("run", "general", "--limit", 24, "--json")
        assert ran.code == 0 and ran.json["version"] == MODEL and len(engine.asked) == 24
        ran_base = run("run", "general", "--limit", 24, "--version", base.name)
    assert ran_base.code == 2 and "does not hold" in ran_base.err
    with Store.open(home, HashEmbedder()) as store:
        (report,) = store.reports.evals_of(MODEL)
    assert [report.digest] == ran.json["reports"] and report.mean == 1.0
