"""The home directory: paths, the lock, the status file."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from store.errors import BusyError, ConfigError
from store.home import Home

ROOT = Path(__file__).resolve().parents[2]
HOLD = (
    "import sys, time; from pathlib import Path; from store.home import Home\n"
    "with Home(Path(sys.argv[1])).lock():\n"
    "    print('held', flush=True); time.sleep(60)"
)


def test_create_makes_the_folders_and_keeps_run_private(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home")
    assert not home.path.exists()
    home.create()
    home.run.chmod(0o777)
    home.create()
    assert stat.S_IMODE(home.run.stat().st_mode) == 0o700
    assert all(p.is_dir() for p in (home.artifacts, home.chroma, home.logs, home.cycles))
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert home.database.name == "perennial.db"
    assert home.threads_database.name == "threads.db"


def test_a_home_that_cannot_be_made_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file") as caught:
        Home(tmp_path / "file" / "home").create()
    assert "--home" in caught.value.hint


def test_second_process_is_refused_and_told_the_pid(tmp_path: Path) -> None:
    home = Home(tmp_path)
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        assert home.locked_by() == child.pid
        with pytest.raises(BusyError, match=str(child.pid)), home.lock():
            pass
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
    # The lock of a killed process is gone with it, though its pid is still in the file.
    assert home.locked_by() is None
    with home.lock():
        assert home.locked_by() == os.getpid()
    assert home.locked_by() is None


def test_same_process_cannot_hold_a_home_twice(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.lock(), pytest.raises(BusyError, match=str(os.getpid())), home.lock():
        pass


def test_lock_is_released_when_the_block_fails(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with pytest.raises(ValueError), home.lock():
        raise ValueError
    assert home.locked_by() is None


def test_status_is_read_back_and_a_broken_one_is_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.read_status() is None and home.locked_by() is None
    home.write_status({"url": "http://127.0.0.1:8000", "pid": 7})
    assert home.read_status() == {"url": "http://127.0.0.1:8000", "pid": 7}
    (home.run / "status.json").write_text("{")
    assert home.read_status() is None
