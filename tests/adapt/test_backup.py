"""`perennial backup` and `perennial restore` from the command line, and beside a running server."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from command import Run, in_process
from full_home import fill, records

from adapt.worker_run import ARTIFACTS
from store.embeddings import HashEmbedder
from store.home import Home
from store.leases import Leases
from store.store import Store

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return in_process(capsys, monkeypatch)


def test_a_home_goes_into_a_file_and_comes_back(run: Run, tmp_path: Path) -> None:
    """One JSON value each; the documents can be searched at once."""
    old, new, file = Home(tmp_path / "old"), Home(tmp_path / "new"), tmp_path / "file"
    fill(old)
    written = run("backup", file, "--home", old.path, "--json")
    assert written.code == 0, written.err
    assert written.json["bytes"] == file.stat().st_size and written.json["artifacts"] == 3
    restored = run("restore", file, "--home", new.path, "--json")
    assert restored.code == 0, restored.err
    assert restored.json["records"] == written.json["records"]
    assert restored.json["indexed"] == 2
    assert records(new) == records(old)
    again = run("restore", file, "--home", new.path, "--json")
    assert again.code == 2 and "not empty" in again.json["error"]


def test_there_is_nothing_to_back_up_without_a_home(run: Run, tmp_path: Path) -> None:
    said = run("backup", tmp_path / "file", "--home", tmp_path / "none")
    assert said.code == 2 and "no home" in said.err
    assert not list(tmp_path.iterdir())


def test_a_backup_is_refused_while_weights_are_cleared_away(run: Run, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    fill(home)
    with Store.open(home, HashEmbedder()) as store:
        other = Leases(store.database, lasts_s=1.0)
        lease = other.take(ARTIFACTS)
        done = threading.Event()

        def renew() -> None:
            while not done.wait(0.2):
                other.renew(lease)

        keeper = threading.Thread(target=renew)
        keeper.start()
        try:
            said = run("backup", tmp_path / "file", "--home", home.path)
        finally:
            done.set()
            keeper.join()
        assert said.code == 2 and "lease on artifacts" in said.err
        assert not (tmp_path / "file").exists()
        other.release(lease)
    assert run("backup", tmp_path / "file", "--home", home.path).code == 0


def test_a_home_is_backed_up_while_it_is_served(run: Run, tmp_path: Path) -> None:
    """What the server has answered before the backup is in it; what it has live, is live."""
    home, new = Home(tmp_path / "home"), Home(tmp_path / "new")
    server = subprocess.Popen(
        [sys.executable, TESTS / "fake_runtime.py", home.path, "0"],
        cwd=TESTS.parent, env={"PYTHONPATH": f"{TESTS.parent}:{TESTS}", "PATH": ""},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = _url_of(home, server)
        body = {"model": "live", "messages": [{"role": "user", "content": "hello"}]}
        answer = httpx.post(
            f"{url}/v1/chat/completions", json=body | {"thread_id": "t1"}, timeout=60
        ).raise_for_status()
        said = run("backup", tmp_path / "file", "--home", home.path, "--json")
        assert said.code == 0, said.err
    finally:
        server.terminate()
        server.wait(60)
    assert run("restore", tmp_path / "file", "--home", new.path).code == 0
    with Store.open(new, HashEmbedder()) as store:
        live = store.versions.live()
        assert live is not None and live.name == answer.json()["perennial"]["version"]
        assert [e.thread for e in store.episodes.list()] == ["t1"]
    assert new.threads_database.is_file()


def _url_of(home: Home, server: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        if (status := home.read_status()) and "url" in status:
            return status["url"]
        time.sleep(0.1)
    raise AssertionError("the server did not start")
