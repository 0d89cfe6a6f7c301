"""Stages in child processes: results, failures, resume, and nobody left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from adapt.stage import run_stage
from store.errors import StageError

HERE = str(Path(__file__).parent)
ENV = {"PYTHONPATH": f"{Path(HERE).parent.parent}:{HERE}"}


def run(name, request, work_dir, **more):
    return run_stage(f"stage_functions:{name}", request, work_dir, env=ENV, **more)


def gone(pid: int, seconds: float = 20.0) -> bool:
    """Whether the process ends in time; a zombie has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if status == "Z":
            return True
        time.sleep(0.05)
    return False


def appears(path: Path, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return path.exists()


def test_a_stage_returns_its_result_and_tells_its_progress(tmp_path):
    seen = []
    assert run("add", {"a": 1, "b": 2}, tmp_path, on_progress=seen.append) == {"sum": 3}
    assert seen == [{"done": 1, "total": 2}, {"done": 2, "total": 2}]
    log = (tmp_path / "log.txt").read_text()
    assert "a library prints this" in log and "and a grandchild this" in log


def test_a_finished_stage_is_not_run_again(tmp_path):
    for _ in range(2):
        assert run("add", {"a": 1, "b": 2}, tmp_path) == {"sum": 3}
    assert (tmp_path / "runs").read_text() == "x"


def test_the_result_of_another_request_is_not_used(tmp_path):
    run("add", {"a": 1, "b": 2}, tmp_path)
    assert run("add", {"a": 1, "b": 3}, tmp_path) == {"sum": 4}


def test_a_known_error_keeps_its_message_and_hint(tmp_path):
    with pytest.raises(StageError, match="the quota is 7") as caught:
        run("refuse", {}, tmp_path)
    assert caught.value.hint == "set it to 5"
    assert str(tmp_path / "log.txt") in caught.value.message


def test_an_unknown_error_names_its_kind_and_the_log_has_the_traceback(tmp_path):
    with pytest.raises(StageError, match="ZeroDivisionError"):
        run("crash", {"zero": 0}, tmp_path)
    assert "1 // request" in (tmp_path / "log.txt").read_text()
    assert not (tmp_path / "result.json").exists()


def test_a_function_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(StageError, match="no_such"):
        run("no_such", {}, tmp_path)


def test_a_killed_child_is_an_error_and_the_next_run_finishes(tmp_path):
    with pytest.raises(StageError, match="SIGKILL"):
        run("die", {}, tmp_path)
    assert run("die", {}, tmp_path) == {"alive": True}


def test_killing_the_parent_kills_the_child(tmp_path):
    code = (
        "import sys; from pathlib import Path; from adapt.stage import run_stage\n"
        f"run_stage('stage_functions:wait', {{}}, Path({str(tmp_path)!r}), env={ENV!r})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **ENV})
    try:
        assert appears(tmp_path / "pid")
        child = int((tmp_path / "pid").read_text())
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(20)
        assert gone(child)
    finally:
        parent.kill()
        parent.wait(20)


def test_an_error_in_the_listener_kills_the_child(tmp_path):
    """KeyboardInterrupt takes the same way out."""

    def interrupt(entry):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("wait", {}, tmp_path, on_progress=interrupt)
    assert gone(int((tmp_path / "pid").read_text()))


def test_another_thread_can_cancel(tmp_path):
    cancel = threading.Event()
    failures = []

    def work():
        try:
            run("wait", {}, tmp_path, cancel=cancel)
        except StageError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert appears(tmp_path / "pid")
    cancel.set()
    thread.join(20)
    assert "cancelled" in failures[0].message
    assert gone(int((tmp_path / "pid").read_text()))
