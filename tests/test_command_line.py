"""The command line, from arguments to exit code, over real stores and a server on a fake engine."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fake_runtime
import pytest
from command import Run, in_process

import perennial
from adapt.show import wilson
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import CycleStage, CycleState

ROOT = Path(perennial.__file__).parent
HEAVY = "torch vllm transformers langgraph chromadb sqlalchemy fastapi apscheduler".split()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process."""
    return in_process(capsys, monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a base, one more version, and no server."""
    path = tmp_path / "home"
    with Store.open(Home(path), HashEmbedder()) as store:
        fake_runtime.ensure_base(store, fake_runtime.BASE)
        fake_runtime.add_version(store)
    return path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a running `perennial up` on a fake engine, in another process."""
    path = tmp_path_factory.mktemp("served")
    process = subprocess.Popen(
        [sys.executable, fake_runtime.__file__, str(path), "0"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 300
        while Home(path).read_status() is None:
            assert process.poll() is None and time.monotonic() < deadline, "it did not start"
            time.sleep(0.05)
        yield path
        process.terminate()
        process.wait(120)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["versions", "--help"], ["up", "--help"], ["eval", "--help"]]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, perennial\n"
        f"try: perennial.main({arguments})\n"
        f"finally: print('LOADED', *({{*{HEAVY}}} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["LOADED"]


def test_version(run: Run) -> None:
    assert re.fullmatch(r"perennial \d+\.\d+\.\d+\n", run("--version").out)


def test_a_source_is_added_listed_and_removed(run: Run, tmp_path: Path) -> None:
    home, docs = tmp_path / "home", tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# A\ntext")
    assert run("source", "add", "docs", docs, "--home", home).code == 0
    (listed,) = run("source", "list", "--json", "--home", home).json
    assert (listed["name"], listed["location"], listed["kind"]) == ("docs", str(docs), "folder")
    again = run("--home", home, "source", "add", "docs", docs)
    assert again.code == 2 and "already" in again.err
    assert run("--home", home, "--json", "source", "remove", "docs").json == {"removed": "docs"}
    assert run("--json", "source", "list", f"--home={home}").json == []


def test_what_is_said_of_a_wrong_name_folder_and_number(run: Run, home: Path) -> None:
    """Each names the thing and the way out, with exit code 2 and nothing on stdout."""
    for arguments, said, hint in [
        (("source", "add", "x", home / "none"), "is not a folder", "make it"),
        (("source", "remove", "x"), "no source named 'x'", "perennial source add"),
        (("versions", "show", "v9"), "no version 'v9'", "v0-bbbbbb"),
        (("versions", "verify", "v9"), "no version 'v9'", "v0-bbbbbb"),
        # Without an engine that would be started to be told it.
        (("versions", "promote", "v9"), "no version 'v9'", "v0-bbbbbb"),
        (("cycles", "show", "3"), "no cycle 3", "none yet"),
        (("eval", "run", "nonsense"), "no suite 'nonsense'", "perennial eval list"),
    ]:
        ran = run("--home", home, *arguments)
        assert (ran.code, ran.out) == (2, ""), arguments
        assert said in ran.err and f"hint: {hint}"[:5] in ran.err and hint in ran.err
        assert "Traceback" not in ran.err


def test_a_look_makes_no_home(run: Run, tmp_path: Path) -> None:
    for command in ("versions", "cycles", ("source", "list"), ("versions", "rollback")):
        words = (command,) if isinstance(command, str) else command
        ran = run(*words, "--home", tmp_path / "none")
        assert ran.code == 2 and "there is no home" in ran.err
    run("doctor", "--home", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_an_error_is_a_json_value_too_when_asked_for(run: Run, tmp_path: Path) -> None:
    ran = run("versions", "--json", "--home", tmp_path / "none")
    assert ran.code == 2 and "there is no home" in ran.err
    assert "there is no home" in ran.json["error"] and ran.json["hint"]


def test_a_wrong_setting_and_a_wrong_flag_are_exit_code_2(run: Run, home: Path) -> None:
    (home / "perennial.toml").write_text("[server]\nprot = 1\n")
    ran = run("up", "--home", home)
    assert ran.code == 2 and "server.prot" in ran.err and "server.port" in ran.err
    assert run("up", "--nonsense").code == 2
    assert run("up", "--host", "0.0.0.0", "--home", home.parent / "other").code == 2


@pytest.mark.parametrize(
    ("study", "option", "owner"),
    [
        ("loki", "--also", "past"),
        ("past", "--data", "screening"),
        ("knowledge", "--fit", "screening"),
    ],
)
def test_a_study_refuses_what_belongs_to_another(
    run: Run, tmp_path: Path, study: str, option: str, owner: str
) -> None:
    """Hours of another study than was meant would be lost."""
    value = [] if option == "--fit" else [tmp_path]
    ran = run("reproduce", study, option, *value, "--out", tmp_path / "out")
    assert ran.code == 2 and f"belongs to the study {owner}" in ran.err
    assert not (tmp_path / "out").exists()


def test_a_key_is_needed_beyond_loopback(run: Run, tmp_path: Path) -> None:
    ran = run("up", "--host", "0.0.0.0", "--home", tmp_path)
    assert ran.code == 2 and "API key" in ran.err


def test_tracebacks_are_for_those_who_ask(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERENNIAL_DEBUG", "1")
    with pytest.raises(LookupError):
        perennial.main(["versions", "show", "v9", "--home", str(home)])


def test_json_after_two_dashes_is_the_question(run: Run, served: Path) -> None:
    ran = run("ask", "--home", served, "--", "--json")
    assert ran.out == "v0-bbbbbb heard --json\n"


def test_versions_show_their_state_and_bytes(run: Run, home: Path) -> None:
    rows = run("versions", "--home", home, "--json").json
    assert [(r["number"], r["state"]) for r in rows] == [(0, "live"), (1, "promoted")]
    name = rows[1]["name"]
    assert (
        run("versions", "show", name, "--json", "--home", home).json["digest"] == rows[1]["digest"]
    )
    assert name in run("versions", "list", "--home", home).out
    assert run("versions", "verify", name, "--home", home, "--json").json["bytes"] is True
    file = home / "artifacts" / rows[1]["digest"] / "adapter.txt"
    file.chmod(0o644)
    file.write_text("changed")
    ran = run("versions", "verify", name, "--home", home)
    assert ran.code == 1 and "adapter.txt" in ran.err


def test_cycles_show_what_each_stage_gave(run: Run, home: Path) -> None:
    with Store.open(Home(home), HashEmbedder()) as store:
        store.cycles.start({})
        store.cycles.stage_started(1, CycleStage.GATHER, {})
        refused = [{"address": "/x/b.bin", "reason": "is binary"}]
        given = {"corpus": "c", "new": 3, "refused": refused}
        store.cycles.stage_done(1, CycleStage.GATHER, given, 1.5)
        store.cycles.finish(1, CycleState.FAILED, "the disk is full")
    (row,) = run("cycles", "--home", home, "--json").json
    assert (row["state"], row["new"], row["why"]) == ("failed", 3, "the disk is full")
    shown = run("cycles", "show", "1", "--home", home).out
    assert "new 3" in shown and "is binary" in shown and "the disk is full" in shown
    assert run("--json", "cycles", "show", "1", "--home", home).json["stages"][0]["seconds"] == 1.5


def test_a_running_server_answers_questions(run: Run, served: Path) -> None:
    ran = run("ask", "hello", "--home", served)
    assert (ran.code, ran.out) == (0, "v0-bbbbbb heard hello\n")
    told = run("ask", "hello", "--home", served, "--json").json
    assert (told["answer"], told["version"]) == ("v0-bbbbbb heard hello", "v0-bbbbbb")
    ran = run("ask", "hello", "--model", "v9-x", "--home", served)
    assert ran.code == 2 and "v9-x" in ran.err


def test_a_conversation_ends_with_its_input(
    run: Run, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write = os.pipe()
    os.write(write, b"one\n\ntwo\n")
    os.close(write)
    with os.fdopen(read) as lines:
        monkeypatch.setattr(sys, "stdin", lines)
        ran = run("chat", "--home", served)
    assert (ran.code, ran.out) == (0, "v0-bbbbbb heard one\nv0-bbbbbb heard two\n")


def test_a_running_server_updates_promotes_and_rolls_back(run: Run, served: Path) -> None:
    done = run("update", "--home", served, "--json")
    assert (done.code, done.json["state"]) == (0, "skipped")
    assert done.json["stages"][0]["stage"] in done.err
    name = run("versions", "--home", served, "--json").json[1]["name"]
    assert run("versions", "promote", name, "--home", served, "--json").json["live"] == name
    assert run("ask", "hi", "--home", served).out == f"{name} heard hi\n"
    back = run("versions", "rollback", "--home", served)
    assert back.code == 0 and "v0-bbbbbb is live" in back.out
    again = run("versions", "rollback", "--home", served)
    assert again.code == 1 and "nothing to roll back to" in again.err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("versions", "rollback"), "nothing to roll back to"),
        (("consolidate",), "whole weights already"),
        (("ask", " "), "the question is empty"),
    ],
)
def test_what_cannot_be_done_is_said_before_an_engine_is_looked_for(
    run: Run, home: Path, command: tuple[str, ...], said: str
) -> None:
    (home / "perennial.toml").write_text('model = "/nowhere"\n')
    ran = run(*command, "--home", home)
    assert ran.code in (1, 2) and said in ran.err and "nowhere" not in ran.err


def test_a_second_up_is_refused_at_once(run: Run, served: Path) -> None:
    ran = run("up", "--home", served)
    assert ran.code == 2 and "in use by process" in ran.err and "http://" in ran.err


def test_a_home_that_is_held_without_a_server_is_busy(run: Run, home: Path) -> None:
    with Home(home).lock():
        for command in (("ask", "hi"), ("update",), ("versions", "rollback")):
            ran = run(*command, "--home", home)
            assert ran.code == 2 and str(os.getpid()) in ran.err


def test_the_doctor_looks_at_the_machine_where_the_settings_are_broken(
    run: Run, home: Path
) -> None:
    (home / "perennial.toml").write_text("[engine\n")
    ran = run("doctor", "--home", home, "--json")
    states = {check["name"]: check["state"] for check in ran.json}
    assert ran.code == 1 and states["settings"] == "failed" and states["python"] == "ok"
    assert "perennial.toml" in next(c["found"] for c in ran.json if c["name"] == "settings")


def test_the_doctor_finds_a_broken_model_and_says_what_to_do(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    ran = run("doctor", "--home", tmp_path / "home", "--model", tmp_path / "model", "--json")
    assert ran.code == 1
    by_name = {check["name"]: check for check in ran.json}
    assert by_name["model"]["state"] == "failed" and "config.json" in by_name["model"]["found"]
    assert all(check["hint"] for check in ran.json if check["state"] == "failed")
    assert by_name["torch"]["state"] == by_name["packages"]["state"] == "ok"


def test_the_interval_of_a_share() -> None:
    """Wilson's, against published values; never outside 0 and 1."""
    low, high = wilson(8, 10)
    assert (round(low, 3), round(high, 3)) == (0.49, 0.943)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(10, 10)[1] == pytest.approx(1.0) and wilson(0, 10)[0] == pytest.approx(0.0)
